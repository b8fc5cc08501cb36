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
      inverse[i] = exponentiate<lanes>(row, scores_stride_, scale, logsumexp + i);
      narrow(row, probabilities_ + i * amx_row_bytes);
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

  // A row of probabilities in tile order.
  void narrow(const float* row, char* to) const {
    for (int64_t step = 0; step < key_steps_; ++step, row += amx_depth<BFloat16>, to += amx_step_bytes) {
      for (int64_t half = 0; half < 2; ++half)
        register_narrow(row + half * register_lanes, reinterpret_cast<BFloat16*>(to) + half * register_lanes);
    }
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
