// The forward pass of softmax attention in bf16 by AMX (amx.h): as AttentionBlock (attention_forward.h), for 32 queries at a
// time, whose scores stay in the second-level cache.
//
// Products of tiles and vector code are mixed (amx_product()), so three blocks of queries are in hand at once: while the last
// but one's probabilities are multiplied with the values, and the new one's queries with the keys, the softmax of the one
// between them is computed, 32 scores after each instruction.
#pragma once

#include "backends/cpu/amx.h"
#include "backends/cpu/attention_forward.h"
#include "backends/cpu/fast_exp2.h"
#include "backends/cpu/product.h"

namespace nabla {

#ifdef __AVX512BF16__

// 16 numbers combined to one.
template <class Combine>
inline float combined_lanes(__m512 x, const Combine& combine) {
#pragma GCC unroll 4
  for (int64_t half = register_lanes / 2; half > 0; half /= 2) {
    using Lanes __attribute__((vector_size(64))) = int32_t;
    const Lanes other =
        Lanes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} ^ static_cast<int32_t>(half);
    x = combine(x, _mm512_maskz_permutexvar_ps(0xffff, reinterpret_cast<__m512i>(other), x));
  }
  return x[0];
}
inline __m512 larger(__m512 a, __m512 b) { return a > b ? a : b; }

// 32 queries of a head on their way through attention.
struct AmxQueries {
  float* scores;            // (tiles of keys, 32, 32)
  char* probabilities;      // in bf16 and tile order, not yet multiplied by inverse[]
  float inverse[amx_rows];  // 1 / the sum of a query's probabilities
  const char* v = nullptr;  // the head's values; null where there are no queries
  const Heads<BFloat16>* out = nullptr;
  int64_t head = 0, first = 0, count = 0;
  float* logsumexp = nullptr;
};

// The softmax of some queries, in steps of 32 scores of one of them. Which number is subtracted from all scores of a query
// changes nothing, as long as the powers stay far from infinity. Here it is the largest of the first 32 scores, which is known
// early; a query that has far larger ones later is computed again.
class AmxSoftmax {
 public:
  AmxSoftmax(int64_t tiles, float scale) : scale_(scale), steps_(tiles * amx_rows), step_(steps_) {}

  void begin(AmxQueries& queries) {
    queries_ = &queries;
    for (int64_t row = 0; row < amx_rows; ++row) begin_row(row, larger(score(row, 0), score(row, 1)));
    step_ = 0;
  }

  // At most so many steps of those that are left.
  [[gnu::always_inline]] void advance(int64_t most) {
    for (const int64_t end = std::min(step_ + most, steps_); step_ < end; ++step_) exponentiate(step_);
  }

  void finish() {
    if (queries_ == nullptr) return;
    advance(steps_);
    for (int64_t row = 0; row < queries_->count; ++row) finish_row(row);
  }

 private:
  // 16 of the scores of a step.
  __m512 score(int64_t step, int64_t half) const {
    return _mm512_load_ps(queries_->scores + step * amx_rows + half * register_lanes);
  }

  void begin_row(int64_t row, __m512 largest) {
    reference_[row] = combined_lanes(largest, larger);
    sums_[row] = _mm512_setzero_ps();
  }

  // As nabla::exponentiate(), but for the result in bf16 and tile order.
  [[gnu::always_inline]] void exponentiate(int64_t step) {
    const auto row = static_cast<uint64_t>(step) % amx_rows;
    const __m512 factor = _mm512_set1_ps(factor_), shift = factor * _mm512_set1_ps(reference_[row]);
    const __m512 left = fast_exp2(_mm512_fmsub_ps(score(step, 0), factor, shift)),
                 right = fast_exp2(_mm512_fmsub_ps(score(step, 1), factor, shift));
    sums_[row] += left + right;
    const __m512bh narrow = _mm512_cvtne2ps_pbh(right, left);
    memcpy(queries_->probabilities + step * amx_row_bytes, &narrow, sizeof narrow);
  }

  void finish_row(int64_t row) {
    constexpr float largest_sum = 1e12F;  // times a large value, a product still fits f32
    float sum = sum_of(row);
    if (!(sum <= largest_sum)) {
      __m512 largest = larger(score(row, 0), score(row, 1));
      for (int64_t step = row; step < steps_; step += amx_rows)
        largest = larger(largest, larger(score(step, 0), score(step, 1)));
      begin_row(row, largest);
      for (int64_t step = row; step < steps_; step += amx_rows) exponentiate(step);
      sum = sum_of(row);
    }
    queries_->logsumexp[row] = Exponents<float>{scale_, reference_[row]}.logsumexp(sum);
    queries_->inverse[row] = 1.0f / sum;
  }
  float sum_of(int64_t row) const {
    return combined_lanes(sums_[row], [](__m512 a, __m512 b) { return a + b; });
  }

  float scale_, factor_ = scale_ * std::numbers::log2e_v<float>;
  int64_t steps_, step_;
  AmxQueries* queries_ = nullptr;
  float reference_[amx_rows];
  __m512 sums_[amx_rows];
};

class AmxAttentionBlock {
 public:
  static constexpr int64_t rows = amx_rows;

  AmxAttentionBlock(int64_t keys, int64_t width, float scale)
      : keys_(keys),
        width_(width),
        steps_(amx_steps<BFloat16>(width)),
        key_steps_(amx_steps<BFloat16>(keys)),
        out_stride_(rounded_up(width, amx_rows)),
        sums_(rows * (2 * key_steps_ * amx_rows + out_stride_)),
        operands_((steps_ + 2 * key_steps_ + key_steps_ * steps_ + 2 * out_stride_ / amx_rows * key_steps_) *
                  amx_step_bytes),
        out_(sums_.take(rows * out_stride_)),
        queries_(operands_.take(steps_ * amx_step_bytes)),
        k_(operands_.take(key_steps_ * steps_ * amx_step_bytes)),
        softmax_(key_steps_, scale),
        beside_(
            pieces_of(rows, amx_pauses(steps_) + out_stride_ / amx_rows * (amx_pauses(1) - amx_pauses(0)))) {
    static_assert(amx_depth<BFloat16> == amx_rows);  // a step of keys is a tile of their scores
    for (AmxQueries& queries : in_hand_) {
      queries.scores = sums_.take(key_steps_ * rows * amx_rows);
      queries.probabilities = operands_.take(key_steps_ * amx_step_bytes);
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
              int64_t count, float* logsumexp) {
    AmxQueries& queries = in_hand_[turn_];
    store_attended(queries);  // the last but one's
    queries.v = v_[0];
    queries.out = &out;
    queries.head = head, queries.first = first, queries.count = count;
    queries.logsumexp = logsumexp;
    amx_pack_rows(q.row(head, first), q.row_stride(), count, width_, queries_);
    make_scores(queries);
    softmax_.finish();
    softmax_.begin(queries);
    turn_ = 1 - turn_;
  }

  void finish() {
    store_attended(in_hand_[turn_]);
    softmax_.finish();
    store_attended(in_hand_[1 - turn_]);
  }

 private:
  void make_scores(AmxQueries& queries) {
    for (int64_t tile = 0; tile < key_steps_; ++tile)
      amx_product<BFloat16>(queries_, k_ + tile * steps_ * amx_step_bytes, steps_, false,
                            queries.scores + tile * rows * amx_rows, amx_rows, 1,
                            [&] { softmax_.advance(beside_); });
    float* const last = queries.scores + (key_steps_ - 1) * rows * amx_rows;
    for (int64_t i = 0; i < rows; ++i) {
      float* const row = last + i * amx_rows;
      std::fill(row + keys_ - (key_steps_ - 1) * amx_rows, row + amx_rows,
                -std::numeric_limits<float>::infinity());
    }
  }

  void store_attended(AmxQueries& queries) {
    if (queries.v == nullptr) return;
    for (int64_t j = 0; j < width_; j += amx_rows)
      amx_product<BFloat16>(queries.probabilities, queries.v + j / amx_rows * key_steps_ * amx_step_bytes,
                            key_steps_, false, out_ + j, out_stride_, 1, [&] { softmax_.advance(beside_); });
    for (int64_t i = 0; i < queries.count; ++i) {
      BFloat16* const row = queries.out->row(queries.head, queries.first + i);
      float* const sums = out_ + i * out_stride_;
      for (int64_t j = 0; j < out_stride_; ++j) sums[j] *= queries.inverse[i];
      for (int64_t j = 0; j < width_; ++j) store(row[j], sums[j]);
    }
    queries.v = nullptr;
  }

  AmxTiles tiles_;
  int64_t keys_, width_, steps_, key_steps_, out_stride_;
  Scratch<float> sums_;
  Scratch<char> operands_;
  float* out_;
  char *queries_, *k_;
  char* v_[2];
  AmxSoftmax softmax_;
  // Steps of the softmax after each instruction: all are done when these queries' products are.
  int64_t beside_;
  AmxQueries in_hand_[2];  // of the last two calls
  int turn_ = 0;           // of which the next call takes the older
};

#endif

}  // namespace nabla
