// The forward pass of softmax attention in bf16 by AMX (amx.h): as AttentionBlock (attention_forward.h), for 32 queries at a
// time, whose scores stay in the second-level cache.
//
// The processor multiplies tiles beside its other work, so three blocks of queries are in hand at once: while the last but
// one's probabilities are multiplied with the values, and the new one's queries with the keys, the softmax of the one between
// them is computed, a few scores at a time.
#pragma once

#include "backends/cpu/amx.h"
#include "backends/cpu/attention_forward.h"

namespace nabla {

#ifdef __AVX512BF16__

// 2^x = 2^n 2^r, n <= x an integer: a minimax fit of 2^r, off by 8e-5 of it, where bf16 rounds by up to 2e-3.
inline __m512 exp2_short(__m512 x) {
  // Without a mask, GCC 12 takes these two for reading what nobody wrote.
  constexpr __mmask16 all = 0xffff;
  const __m512 r = _mm512_maskz_reduce_ps(all, x, _MM_FROUND_TO_NEG_INF);
  __m512 sum = _mm512_set1_ps(0.0780245212f);
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.226067158f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.69583354f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.999925219f));
  return _mm512_maskz_scalef_ps(all, sum, x);
}

// 32 queries of a head on their way through attention.
struct AmxQueries {
  float* scores;                           // (32, stride)
  char* probabilities;                     // in bf16 and tile order
  const char* v = nullptr;                 // the head's values; null where there are no queries
  float largest[amx_rows][amx_tile_rows];  // each query's largest scores so far, 16 side by side
  float inverse[amx_rows];                 // 1 / the sum of its probabilities
  const Heads<BFloat16>* out = nullptr;
  int64_t head = 0, first = 0, count = 0;
  float* logsumexp = nullptr;
};

// The softmax of some queries, in steps of 32 scores of one of them.
class AmxSoftmax {
 public:
  AmxSoftmax(int64_t steps, int64_t stride) : steps_(steps), stride_(stride) {}

  void begin(AmxQueries& queries, float scale) {
    queries_ = &queries;
    scale_ = scale;
    row_ = step_ = 0;
  }
  // At most so many steps of those that are left.
  void advance(int64_t most) {
    if (queries_ == nullptr) return;
    while (most > 0 && row_ < queries_->count) {
      if (step_ == 0) begin_row();
      const int64_t end = std::min(step_ + most, steps_);
      most -= end - step_;
      exponentiate(end);
      if (step_ == steps_) end_row();
    }
  }
  void finish() { advance(amx_rows * steps_); }

 private:
  void begin_row() {
    of_ = {scale_, largest_score<amx_tile_rows>(queries_->largest[row_], amx_tile_rows)};
    sums_[0] = sums_[1] = _mm512_setzero_ps();
  }

  // As nabla::exponentiate(), but for the result in bf16 and tile order.
  void exponentiate(int64_t end) {
    const __m512 factor = _mm512_set1_ps(of_.factor), shift = _mm512_set1_ps(of_.factor * of_.largest);
    const float* scores = queries_->scores + row_ * stride_ + step_ * amx_depth<BFloat16>;
    char* to = queries_->probabilities + row_ * amx_row_bytes + step_ * amx_step_bytes;
    __m512 sums[2] = {sums_[0], sums_[1]};
    for (; step_ < end; ++step_, scores += amx_depth<BFloat16>, to += amx_step_bytes) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        const __m512 score = _mm512_loadu_ps(scores + half * register_lanes);
        const __m512 value = exp2_short(_mm512_fmsub_ps(score, factor, shift));
        sums[half] += value;
        const __m256bh narrow = _mm512_cvtneps_pbh(value);
        memcpy(to + half * amx_row_bytes / 2, &narrow, sizeof narrow);
      }
    }
    sums_[0] = sums[0], sums_[1] = sums[1];
  }

  void end_row() {
    const __m512 both = sums_[0] + sums_[1];
    float sum = 0;
#pragma GCC unroll 16
    for (int64_t lane = 0; lane < register_lanes; ++lane) sum += both[lane];
    queries_->logsumexp[row_] = of_.logsumexp(sum);
    queries_->inverse[row_] = 1.0f / sum;
    ++row_;
    step_ = 0;
  }

  int64_t steps_, stride_, row_ = 0, step_ = 0;
  AmxQueries* queries_ = nullptr;
  float scale_ = 0;
  Exponents<float> of_{0, 0};
  __m512 sums_[2];
};

class AmxAttentionBlock {
 public:
  static constexpr int64_t rows = amx_rows;

  AmxAttentionBlock(int64_t keys, int64_t width)
      : keys_(keys),
        width_(width),
        steps_(amx_steps<BFloat16>(width)),
        key_steps_(amx_steps<BFloat16>(keys)),
        // An odd number of cache lines: rows below one another lie in different sets of the cache.
        scores_stride_(key_steps_ * amx_depth<BFloat16> + amx_tile_rows),
        out_stride_(rounded_up(width, amx_rows)),
        sums_(rows * (2 * scores_stride_ + out_stride_)),
        operands_((steps_ + 2 * key_steps_ + key_steps_ * steps_ + 2 * out_stride_ / amx_rows * key_steps_) *
                  amx_step_bytes),
        out_(sums_.take(rows * out_stride_)),
        queries_(operands_.take(steps_ * amx_step_bytes)),
        k_(operands_.take(key_steps_ * steps_ * amx_step_bytes)),
        softmax_(key_steps_, scores_stride_) {
    static_assert(amx_depth<BFloat16> == amx_rows);  // a step of keys is a tile of their scores
    for (AmxQueries& queries : in_hand_) {
      queries.scores = sums_.take(rows * scores_stride_);
      queries.probabilities = operands_.take(key_steps_ * amx_step_bytes);
      std::fill_n(queries.probabilities, key_steps_ * amx_step_bytes,
                  char{});  // rows without a query stay finite
    }
    for (char*& v : v_) v = operands_.take(out_stride_ / amx_rows * key_steps_ * amx_step_bytes);
  }

  // The values of the head before are still needed, by the last queries.
  void take_head(const Heads<BFloat16>& k, const Heads<BFloat16>& v, int64_t head) {
    store_attended(in_hand_[turn_]);
    std::swap(v_[0], v_[1]);
    for (int64_t key = 0; key < keys_; key += amx_rows)
      amx_pack_columns(k.row(head, key), k.row_stride(), std::min(amx_rows, keys_ - key), width_,
                       k_ + key / amx_rows * steps_ * amx_step_bytes);
    for (int64_t j = 0; j < width_; j += amx_rows)
      amx_pack_lines(v.row(head, 0) + j, v.row_stride(), std::min(amx_rows, width_ - j), keys_,
                     v_[0] + j / amx_rows * key_steps_ * amx_step_bytes);
  }

  // What these queries attend to is stored by one of the next calls, or by finish().
  void attend(const Heads<BFloat16>& q, const Heads<BFloat16>& out, int64_t head, int64_t first,
              int64_t count, float scale, float* logsumexp) {
    AmxQueries& queries = in_hand_[turn_];
    store_attended(queries);  // the last but one's
    queries.v = v_[0];
    queries.out = &out;
    queries.head = head, queries.first = first, queries.count = count;
    queries.logsumexp = logsumexp;
    amx_pack_rows(q.row(head, first), q.row_stride(), count, width_, queries_);
    make_scores(queries);
    softmax_.finish();
    softmax_.begin(queries, scale);
    turn_ = 1 - turn_;
  }

  void finish() {
    store_attended(in_hand_[turn_]);
    softmax_.finish();
    store_attended(in_hand_[1 - turn_]);
  }

 private:
  // Steps of the softmax beside each step of a product, so that all are done when these 32 queries' products are.
  int64_t beside() const { return rows / (steps_ + out_stride_ / amx_rows) + 1; }

  // The scores of a tile of keys count for the largest ones while the next tile is multiplied.
  void make_scores(AmxQueries& queries) {
    std::fill_n(&queries.largest[0][0], rows * amx_tile_rows, -std::numeric_limits<float>::infinity());
    for (int64_t key = 0; key < keys_; key += amx_rows) {
      int64_t row = 0;
      amx_product<BFloat16>(queries_, k_ + key / amx_rows * steps_ * amx_step_bytes, steps_, false,
                            queries.scores + key, scores_stride_, [&] {
                              softmax_.advance(beside());
                              const int64_t end = std::min(row + rows / steps_ + 1, rows);
                              if (key > 0) find_largest(queries, key - amx_rows, row, end);
                              row = end;
                            });
    }
    for (int64_t i = 0; i < rows; ++i) {
      float* const row = queries.scores + i * scores_stride_;
      std::fill(row + keys_, row + key_steps_ * amx_depth<BFloat16>, -std::numeric_limits<float>::infinity());
    }
    find_largest(queries, (key_steps_ - 1) * amx_rows, 0, rows);
  }

  void find_largest(AmxQueries& queries, int64_t key, int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i) {
      const float* const scores = queries.scores + i * scores_stride_ + key;
      const __m512 left = _mm512_loadu_ps(scores), right = _mm512_loadu_ps(scores + amx_tile_rows),
                   before = _mm512_loadu_ps(queries.largest[i]), larger = left > right ? left : right;
      _mm512_storeu_ps(queries.largest[i], larger > before ? larger : before);
    }
  }

  void store_attended(AmxQueries& queries) {
    if (queries.v == nullptr) return;
    for (int64_t j = 0; j < width_; j += amx_rows)
      amx_product<BFloat16>(queries.probabilities, queries.v + j / amx_rows * key_steps_ * amx_step_bytes,
                            key_steps_, false, out_ + j, out_stride_, [&] { softmax_.advance(beside()); });
    for (int64_t i = 0; i < queries.count; ++i) {
      BFloat16* const row = queries.out->row(queries.head, queries.first + i);
      for (int64_t j = 0; j < width_; ++j) store(row[j], out_[i * out_stride_ + j] * queries.inverse[i]);
    }
    queries.v = nullptr;
  }

  AmxTiles tiles_;
  int64_t keys_, width_, steps_, key_steps_, scores_stride_, out_stride_;
  Scratch<float> sums_;
  Scratch<char> operands_;
  float* out_;
  char *queries_, *k_;
  char* v_[2];
  AmxSoftmax softmax_;
  AmxQueries in_hand_[2];  // of the last two calls
  int turn_ = 0;           // of which the next call takes the older
};

#endif

}  // namespace nabla
