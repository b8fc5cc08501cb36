// The forward pass of softmax attention in bf16 by AMX (amx.h): as AttentionBlock (attention_forward.h), for 32 queries at a
// time, whose scores stay in the second-level cache.
#pragma once

#include "backends/cpu/amx.h"
#include "backends/cpu/attention_forward.h"

namespace nabla {

#ifdef __AVX512BF16__

class AmxAttentionBlock {
 public:
  static constexpr int64_t rows = amx_rows;

  AmxAttentionBlock(int64_t keys, int64_t width)
      : keys_(keys),
        width_(width),
        steps_(amx_steps<BFloat16>(width)),
        key_steps_(amx_steps<BFloat16>(keys)),
        scores_stride_(rounded_up(keys, lanes)),
        out_stride_(rounded_up(width, amx_rows)),
        sums_(rows * (scores_stride_ + out_stride_)),
        operands_((steps_ + key_steps_ + rounded_up(keys, amx_rows) / amx_rows * steps_ +
                   out_stride_ / amx_rows * key_steps_) *
                  amx_step_bytes),
        scores_(sums_.take(rows * scores_stride_)),
        out_(sums_.take(rows * out_stride_)),
        queries_(operands_.take(steps_ * amx_step_bytes)),
        probabilities_(operands_.take(key_steps_ * amx_step_bytes)),
        k_(operands_.take(rounded_up(keys, amx_rows) / amx_rows * steps_ * amx_step_bytes)),
        v_(operands_.take(out_stride_ / amx_rows * key_steps_ * amx_step_bytes)) {
    std::fill_n(probabilities_, key_steps_ * amx_step_bytes, char{});  // rows without a query stay finite
  }

  void take_head(const Heads<BFloat16>& k, const Heads<BFloat16>& v, int64_t head) {
    for (int64_t key = 0; key < keys_; key += amx_rows)
      amx_pack_columns(k.row(head, key), k.row_stride(), std::min(amx_rows, keys_ - key), width_,
                       k_ + key / amx_rows * steps_ * amx_step_bytes);
    for (int64_t j = 0; j < width_; j += amx_rows)
      amx_pack_lines(v.row(head, 0) + j, v.row_stride(), std::min(amx_rows, width_ - j), keys_,
                     v_ + j / amx_rows * key_steps_ * amx_step_bytes);
  }

  void attend(const Heads<BFloat16>& q, const Heads<BFloat16>& out, int64_t head, int64_t first,
              int64_t count, float scale, float* logsumexp) {
    amx_pack_rows(q.row(head, first), q.row_stride(), count, width_, queries_);
    for (int64_t key = 0; key < keys_; key += amx_rows)
      amx_product<BFloat16>(queries_, k_ + key / amx_rows * steps_ * amx_step_bytes, steps_, false,
                            scores_ + key, scores_stride_);
    float inverse[rows];
    for (int64_t i = 0; i < count; ++i) {
      float* const row = scores_ + i * scores_stride_;
      std::fill(row + keys_, row + scores_stride_, -std::numeric_limits<float>::infinity());
      inverse[i] = exponentiate_row(row, scale, probabilities_ + i * amx_row_bytes, logsumexp + i);
    }
    for (int64_t j = 0; j < width_; j += amx_rows)
      amx_product<BFloat16>(probabilities_, v_ + j / amx_rows * key_steps_ * amx_step_bytes, key_steps_,
                            false, out_ + j, out_stride_);
    for (int64_t i = 0; i < count; ++i) {
      BFloat16* const row = out.row(head, first + i);
      for (int64_t j = 0; j < width_; ++j) store(row[j], out_[i * out_stride_ + j] * inverse[i]);
    }
  }

 private:
  static constexpr int64_t lanes = 64;

  // As exponentiate(), but for a row's probabilities in bf16 and tile order.
  float exponentiate_row(const float* scores, float scale, char* to, float* logsumexp) const {
    const Exponents<float> of{scale, largest_score<lanes>(scores, scores_stride_)};
    const __m512 factor = _mm512_set1_ps(of.factor), shift = _mm512_set1_ps(of.factor * of.largest);
    __m512 sums[2] = {};
    for (int64_t step = 0; step < key_steps_; ++step, scores += amx_depth<BFloat16>, to += amx_step_bytes) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        const __m512 score = _mm512_loadu_ps(scores + half * register_lanes);
        const __m512 value = exp2_short(_mm512_fmsub_ps(score, factor, shift));
        sums[half] += value;
        const __m256bh narrow = _mm512_cvtneps_pbh(value);
        memcpy(to + half * amx_row_bytes / 2, &narrow, sizeof narrow);
      }
    }
    sums[0] += sums[1];
    float sum = 0;
#pragma GCC unroll 16
    for (int64_t lane = 0; lane < register_lanes; ++lane) sum += sums[0][lane];
    *logsumexp = of.logsumexp(sum);
    return 1.0f / sum;
  }

  // 2^x = 2^n 2^r, n <= x an integer: a minimax fit of 2^r, off by 8e-5 of it, where bf16 rounds by up to 2e-3.
  static __m512 exp2_short(__m512 x) {
    // Without a mask, GCC 12 takes these two for reading what nobody wrote.
    constexpr __mmask16 all = 0xffff;
    const __m512 r = _mm512_maskz_reduce_ps(all, x, _MM_FROUND_TO_NEG_INF);
    __m512 sum = _mm512_set1_ps(0.0780245212f);
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.226067158f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.69583354f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.999925219f));
    return _mm512_maskz_scalef_ps(all, sum, x);
  }

  AmxTiles tiles_;
  int64_t keys_, width_, steps_, key_steps_, scores_stride_, out_stride_;
  Scratch<float> sums_;
  Scratch<char> operands_;
  float *scores_, *out_;
  char *queries_, *probabilities_, *k_, *v_;
};

#endif

}  // namespace nabla
