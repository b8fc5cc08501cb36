// The forward pass of linear attention in bf16 by AMX (amx.h). The sums of K are one more column of its product with v, which
// has a column of ones for them, and the denominators one more column of the product of Q and that:
//   [S z] = K^T [v 1],  [Q S, Q z] = Q [S z].
// Operands are rounded to bf16, so S and z are, too, and the sums are f32.
#pragma once

#include <algorithm>
#include <numbers>

#include "backends/cpu/amx.h"
#include "backends/cpu/fast_exp2.h"
#include "backends/cpu/heads.h"
#include "backends/cpu/product.h"

namespace nabla {

#ifdef __AVX512BF16__

// to (n) = f(x): x + 1 for x > 0, else e^x.
inline void store_features(const BFloat16* x, int64_t n, BFloat16* to) {
  using Words = int32_t __attribute__((vector_size(64)));
  for (int64_t j = 0; j < n; j += 16) {
    const auto lanes = static_cast<__mmask16>(j + 16 <= n ? 0xffff : (1 << (n - j)) - 1);
    const __m512 value = reinterpret_cast<__m512>(
        reinterpret_cast<Words>(_mm512_maskz_cvtepu16_epi32(lanes, _mm256_maskz_loadu_epi16(lanes, x + j)))
        << 16);
    const __m512 power = fast_exp2(value * std::numbers::log2e_v<float>);
    const __m256bh narrow = _mm512_cvtneps_pbh(value > 0 ? value + 1.0f : power);
    _mm256_mask_storeu_epi16(to + j, lanes, reinterpret_cast<__m256i>(narrow));
  }
}

// One thread's memory for heads of n rows of d elements.
class AmxLinearAttention {
 public:
  AmxLinearAttention(int64_t n, int64_t d)
      : n_(n),
        d_(d),
        row_tiles_(pieces_of(n, amx_rows)),
        steps_(pieces_of(d, amx_rows)),
        columns_(pieces_of(d + 1, amx_rows) * amx_rows),
        elements_(n * (d + 1) + amx_rows * d + steps_ * amx_rows * columns_),
        operands_((row_tiles_ * (steps_ + columns_ / amx_rows) + steps_ + steps_ * columns_ / amx_rows + 1) *
                  amx_step_bytes),
        sums_(steps_ * amx_rows * columns_),
        values_(elements_.take(n * (d + 1))),
        features_(elements_.take(amx_rows * d)),
        state_(elements_.take(steps_ * amx_rows * columns_)),
        k_(operands_.take(row_tiles_ * steps_ * amx_step_bytes)),
        v_(operands_.take(row_tiles_ * columns_ / amx_rows * amx_step_bytes)),
        q_(operands_.take(steps_ * amx_step_bytes)),
        packed_state_(operands_.take(steps_ * columns_ / amx_rows * amx_step_bytes)),
        lines_(operands_.take(amx_step_bytes)),
        product_(sums_.take(steps_ * amx_rows * columns_)) {
    static_assert(amx_depth<BFloat16> == amx_rows);
  }

  void attend(const Heads<BFloat16>& q, const Heads<BFloat16>& k, const Heads<BFloat16>& v, int64_t head,
              float eps, const Heads<BFloat16>& out) {
    for (int64_t tile = 0; tile < row_tiles_; ++tile) take_keys(k, head, tile);
    take_values(v, head);
    make_state();
    for (int64_t row = 0; row < n_; row += amx_rows) {
      const int64_t count = std::min(amx_rows, n_ - row);
      make_features(q, head, row, count);
      amx_pack_rows(features_, d_, count, d_, q_);
      multiply(q_, packed_state_, steps_, product_);
      for (int64_t i = 0; i < count; ++i) {
        float* const sums = product_ + i * columns_;
        const float factor = 1.0f / (sums[d_] + eps);
        BFloat16* const to = out.row(head, row + i);
        for (int64_t j = 0; j < d_; ++j) store(to[j], sums[j] * factor);
      }
    }
  }

 private:
  // The features of rows [row, row + count) of q or k.
  void make_features(const Heads<BFloat16>& x, int64_t head, int64_t row, int64_t count) {
    for (int64_t i = 0; i < count; ++i) store_features(x.row(head, row + i), d_, features_ + i * d_);
  }

  // A tile of b's order has pairs of K's rows side by side, a pair for each column. Transposed, it is a tile of K^T in a's order.
  void take_keys(const Heads<BFloat16>& k, int64_t head, int64_t tile) {
    const int64_t row = tile * amx_rows, count = std::min(amx_rows, n_ - row);
    make_features(k, head, row, count);
    for (int64_t step = 0; step < steps_; ++step) {
      const int64_t first = step * amx_rows;
      amx_pack_lines(features_ + first, d_, std::min(amx_rows, d_ - first), count, lines_);
      char* const to = k_ + (step * row_tiles_ + tile) * amx_step_bytes;
      for (const int64_t half : {int64_t{0}, amx_tile_bytes}) amx_transpose_tile(lines_ + half, to + half);
    }
  }

  void take_values(const Heads<BFloat16>& v, int64_t head) {
    for (int64_t i = 0; i < n_; ++i) {
      BFloat16* const row = values_ + i * (d_ + 1);
      std::copy_n(v.row(head, i), d_, row);
      store(row[d_], 1.0f);
    }
    for (int64_t j = 0; j < columns_; j += amx_rows)
      amx_pack_lines(values_ + j, d_ + 1, std::min(amx_rows, d_ + 1 - j), n_,
                     v_ + j / amx_rows * row_tiles_ * amx_step_bytes);
  }

  // [S z], for the next product.
  void make_state() {
    for (int64_t step = 0; step < steps_; ++step)
      multiply(k_ + step * row_tiles_ * amx_step_bytes, v_, row_tiles_,
               product_ + step * amx_rows * columns_);
    for (int64_t i = 0; i < steps_ * amx_rows * columns_; ++i) store(state_[i], product_[i]);
    for (int64_t j = 0; j < columns_; j += amx_rows)
      amx_pack_lines(state_ + j, columns_, amx_rows, d_,
                     packed_state_ + j / amx_rows * steps_ * amx_step_bytes);
  }

  // c (32, columns) = a b.
  void multiply(const char* a, const char* b, int64_t steps, float* c) {
    for (int64_t j = 0; j < columns_; j += amx_rows, b += steps * amx_step_bytes)
      amx_product<BFloat16>(a, b, steps, false, c + j, columns_, steps, [] {});
  }

  AmxTiles tiles_;
  int64_t n_, d_, row_tiles_, steps_, columns_;
  Scratch<BFloat16> elements_;
  Scratch<char> operands_;
  Scratch<float> sums_;
  BFloat16 *values_, *features_, *state_;
  char *k_, *v_, *q_, *packed_state_, *lines_;
  float* product_;
};

#endif

}  // namespace nabla
