// The forward pass of softmax attention by integers of 16 bits: as AttentionBlock (attention_forward.h), but each row is
// multiplied as integers with a scale of its own. pmaddwd (PairsInWords) and an addition do the work of two multiply-adds of floats
// in 0.6 of their time.
//
//   scores  q . k = s_q s_k (integers of q . integers of k)
//   output  sum of p v = s_w (sum of integers of w * integers of v),  w = p s_v
//
// The weights need care, as many heads give nearly all of a query's probability to one key, a sink. Two rules keep the others:
//
// 1. A value's scale s_v becomes part of its weight w, so that weights are rounded by what they add to the output. Where the sink's
//    value is next to nothing, the others are the answer, and with p itself rounded they would all be 0:
//
// [snippet: weights]
//   p = (0.999985, 0.00001, 0.000005)     largest |v| = (0.001, 1000, 1000)
//   of 32766 steps, p:  (32766, 0, 0)     w:  (3277, 32766, 16383)
// [end]
// 2. What a weight loses or gains when it is rounded is given to the key `line_columns` further (error diffusion, as in pictures of
//    few colours), so that hundreds of weights of a third of a step keep their sum.
//
// Channels of v may differ in size by far. Each is divided by a power of 2 near its largest magnitude first, so that no channel
// takes the steps of the others. All sums fit 32 bits: integers of q and k are up to some 5800 for rows of 64 elements, those of v up to
// 2047, and the weights as large as their sum then allows.
#pragma once

#include "backends/cpu/integer_product.h"

#ifdef __SSE2__

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/cpu/attention_forward.h"
#include "backends/cpu/heads.h"
#include "backends/cpu/output_line.h"
#include "backends/cpu/pack_strip.h"
#include "backends/cpu/product.h"
#include "backends/cpu/quantize_row.h"

namespace nabla {

// c (6, strip_columns) = row_scale[i] column_scale[j] (a b), a (6, words) and b (words, strip_columns) of PairsInWords, c in rows
// of c_stride. Not inlined, so that the sums stay in registers.
[[gnu::noinline]] inline void scaled_product(const int32_t* a, const float* row_scale, const int32_t* b,
                                             const float* column_scale, int64_t words, float* c,
                                             int64_t c_stride) {
  using Floats [[gnu::vector_size(4 * word_lanes)]] = float;
  WordVector sum[tile_rows][strip_vectors] = {};
  add_words<PairsInWords>(a, b, words, sum);
  Floats columns[strip_vectors];
#pragma GCC unroll 4
  for (int64_t j = 0; j < strip_vectors; ++j)
    memcpy(&columns[j], column_scale + j * word_lanes, sizeof columns[j]);
#pragma GCC unroll 6
  for (int64_t i = 0; i < tile_rows; ++i) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < strip_vectors; ++j) {
      const Floats scaled = __builtin_convertvector(sum[i][j], Floats) * (row_scale[i] * columns[j]);
      memcpy(c + i * c_stride + j * word_lanes, &scaled, sizeof scaled);
    }
  }
}

// x (n) as integers from -steps to steps; returns their scale: NaN for a row that is not finite, 0 for one of next to nothing.
// A function of its own beside quantize_values(), whose every bit is promised: this file may fuse products with sums.
template <class T>
float quantize_to_steps(const T* x, int64_t n, float steps, int16_t* __restrict q) {
  const auto [scale, inverse] = row_scale(largest_magnitude(x, n));
  if (inverse == 0.0f) {
    std::fill_n(q, n, int16_t{0});
    return scale;
  }
  const float factor = inverse * (steps / 127.0f);
  for (int64_t i = 0; i < n; ++i)
    q[i] = static_cast<int16_t>(
        static_cast<uint16_t>(vector_math::to_bits(static_cast<float>(x[i]) * factor + rounding_shift)));
  return scale * (127.0f / steps);
}

// weights (n), none negative, times `factor` as integers; the error of each goes to the one line_columns further. weights are read
// to the end of a line.
inline void round_weights(const float* weights, int64_t n, float factor, int16_t* q) {
  using Words [[gnu::vector_size(sizeof(FloatVector))]] = int32_t;
  using Halves [[gnu::vector_size(sizeof(FloatVector) / 2)]] = int16_t;
  Line error = {};
  for (int64_t i = 0; i < n; i += line_columns) {
    Line exact;
    int16_t rounded[line_columns];
    load_line(weights + i, exact);
#pragma GCC unroll 4
    for (int64_t j = 0; j < line_vectors; ++j) {
      exact[j] = exact[j] * factor + error[j];
      const FloatVector shifted = exact[j] + rounding_shift;
      error[j] = exact[j] - (shifted - rounding_shift);
      const Halves integers = __builtin_convertvector(reinterpret_cast<Words>(shifted), Halves);
      memcpy(rounded + j * float_lanes, &integers, sizeof integers);
    }
    if (i + line_columns <= n)
      memcpy(q + i, rounded, sizeof rounded);
    else
      std::copy_n(rounded, n - i, q + i);
  }
}

// One thread's memory, as AttentionBlock's.
class IntegerAttentionBlock {
 public:
  static constexpr int64_t rows = tile_rows;
  static constexpr int64_t most_keys = 8192;  // then equal weights have some 100 steps each

  IntegerAttentionBlock(int64_t keys, int64_t width, float scale)
      : keys_(keys),
        width_(width),
        scale_(scale),
        row_steps_(std::min(32767.0f, std::floor(std::sqrt(0x1p31f / static_cast<float>(width))) - 1)),
        depth_(pieces_of(width, elements)),
        pairs_(pieces_of(keys, elements)),
        scores_stride_(rounded_up(keys, lanes)),
        out_stride_(rounded_up(width, strip_columns)),
        floats_(scores_stride_ * (rows + 2) + (rows + 1) * out_stride_ + 2 * width),
        words_(scores_stride_ * depth_ + out_stride_ * pairs_ + rows * (depth_ + pairs_)),
        scores_(floats_.take(scores_stride_ * rows)),
        key_scales_(floats_.take(scores_stride_)),
        value_scales_(floats_.take(scores_stride_)),
        out_(floats_.take(rows * out_stride_)),
        column_scales_(floats_.take(out_stride_)),
        column_factors_(floats_.take(width)),
        row_(floats_.take(width)),
        k_(words_.take(scores_stride_ * depth_)),
        v_(words_.take(out_stride_ * pairs_)),
        queries_(words_.take(rows * depth_)),
        weights_(words_.take(rows * pairs_)),
        even_(static_cast<size_t>(depth_ * elements)),
        odd_(even_) {
    std::fill_n(column_scales_, out_stride_, 1.0f);
    // What no key, value or query fills is multiplied all the same: it must be 0.
    std::fill_n(key_scales_, scores_stride_, 0.0f);
    std::fill_n(value_scales_, scores_stride_, 0.0f);
    std::fill_n(k_, scores_stride_ * depth_, 0);
    std::fill_n(v_, out_stride_ * pairs_, 0);
    std::fill_n(queries_, rows * depth_, 0);
    std::fill_n(weights_, rows * pairs_, 0);
  }

  // Makes integers of a head's keys and values.
  template <class T>
  void take_head(const Heads<T>& k, const Heads<T>& v, int64_t head) {
    take_keys(k, v, head);
    scale_columns(v, head);
    take_values(v, head);
  }

  // Attention of queries [first, first + count) of a head, count <= rows.
  template <class T>
  void attend(const Heads<T>& q, const Heads<T>& out, int64_t head, int64_t first, int64_t count,
              float* logsumexp) {
    float query_scales[rows] = {}, weight_scales[rows] = {};
    for (int64_t i = 0; i < count; ++i) {
      prefetch(q, head, first + i + rows);
      prefetch(out, head, first + i);
      query_scales[i] = quantize_to_steps(q.row(head, first + i), width_, row_steps_,
                                          reinterpret_cast<int16_t*>(queries_ + i * depth_));
    }
    for (int64_t key = 0; key < keys_; key += strip_columns)
      scaled_product(queries_, query_scales, k_ + key * depth_, key_scales_ + key, depth_, scores_ + key,
                     scores_stride_);
    for (int64_t i = 0; i < count; ++i) weight_scales[i] = take_weights(i, logsumexp + i);
    for (int64_t j = 0; j < width_; j += strip_columns)
      scaled_product(weights_, weight_scales, v_ + j * pairs_, column_scales_ + j, pairs_, out_ + j,
                     out_stride_);
    for (int64_t i = 0; i < count; ++i) {
      T* const row = out.row(head, first + i);
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) store(row[j], out_[i * out_stride_ + j]);
    }
  }
  void finish() {}

 private:
  static constexpr int64_t elements = PairsInWords::elements, lanes = 64, rows_ahead = 6;
  static_assert(lanes % strip_columns == 0 && lanes % line_columns == 0);
  static constexpr float value_steps = 2047, weight_steps = 32766;  // one less, as an error is added

  // Always inlined: GCC drops calls of a function that does nothing but ask for memory.
  template <class T>
  [[gnu::always_inline]] static void prefetch(const Heads<T>& x, int64_t head, int64_t row) {
    if (row < x.length()) prefetch_line(x.row(head, row), x.width());
  }

  // The keys in strips of columns. Asks for the values, too.
  template <class T>
  void take_keys(const Heads<T>& k, const Heads<T>& v, int64_t head) {
    for (int64_t key = 0; key < keys_; ++key) {
      prefetch(k, head, key + rows_ahead);
      prefetch(v, head, key + rows_ahead);
      key_scales_[key] = quantize_to_steps(k.row(head, key), width_, row_steps_, even_.data());
      int32_t* const column = k_ + key / strip_columns * strip_columns * depth_ + key % strip_columns;
      for (int64_t word = 0; word < depth_; ++word)
        memcpy(column + word * strip_columns, even_.data() + word * elements, sizeof *column);
    }
  }

  // The powers of 2 near the largest magnitudes of the values' columns, and 1 / them.
  template <class T>
  void scale_columns(const Heads<T>& v, int64_t head) {
    std::fill_n(row_, width_, 0.0f);
    for (int64_t key = 0; key < keys_; ++key) {
      const T* const value = v.row(head, key);
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) {
        const float magnitude = std::fabs(static_cast<float>(value[j]));
        row_[j] = magnitude > row_[j] ? magnitude : row_[j];
      }
    }
    for (int64_t j = 0; j < width_; ++j) {
      const bool usual = row_[j] > 0x1p-60f && row_[j] < 0x1p60f;
      column_scales_[j] = usual ? std::exp2(std::round(std::log2(row_[j]))) : 1.0f;
      column_factors_[j] = 1.0f / column_scales_[j];
    }
  }

  // The values in strips of columns, two keys in a word.
  template <class T>
  void take_values(const Heads<T>& v, int64_t head) {
    const auto take = [&](int64_t key, int16_t* q) {
      if (key >= keys_) return static_cast<void>(std::fill_n(q, width_, int16_t{0}));
      const T* const value = v.row(head, key);
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) row_[j] = static_cast<float>(value[j]) * column_factors_[j];
      value_scales_[key] = quantize_to_steps(row_, width_, value_steps, q);
    };
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      take(pair * elements, even_.data());
      take(pair * elements + 1, odd_.data());
      for (int64_t j = 0; j < width_; j += strip_columns)
        join(j, std::min(strip_columns, width_ - j), v_ + j * pairs_ + pair * strip_columns);
    }
  }

  // words (count): the integers [begin, begin + count) of two rows side by side.
  void join(int64_t begin, int64_t count, int32_t* words) const {
    const int16_t *const low = even_.data() + begin, *const high = odd_.data() + begin;
#pragma omp simd
    for (int64_t j = 0; j < count; ++j)
      words[j] = static_cast<int32_t>((low[j] & 0xffffu) | static_cast<uint32_t>(high[j]) << 16);
  }

  // The weights of a query whose scores are there, as integers; returns what the output is to be multiplied by.
  float take_weights(int64_t query, float* logsumexp) {
    float* const row = scores_ + query * scores_stride_;
    std::fill(row + keys_, row + scores_stride_, -std::numeric_limits<float>::infinity());
    const float inverse = exponentiate<lanes>(row, scores_stride_, scale_, logsumexp);
    Line sums = {}, largest = {};
    for (int64_t key = 0; key < scores_stride_; key += line_columns) {
      Line weights, scales;
      load_line(row + key, weights);
      load_line(value_scales_ + key, scales);
#pragma GCC unroll 4
      for (int64_t j = 0; j < line_vectors; ++j) {
        weights[j] *= scales[j];
        sums[j] += weights[j];
        largest[j] = weights[j] > largest[j] ? weights[j] : largest[j];
      }
      store_line(weights, row + key);
    }
    float sum = 0, largest_weight = 0;
    for (int64_t j = 0; j < line_vectors; ++j) {
      for (int64_t lane = 0; lane < float_lanes; ++lane) {
        sum += sums[j][lane];
        largest_weight = std::max(largest_weight, largest[j][lane]);
      }
    }
    // A sum of products is up to value_steps times that of the weights; a hundredth is left for their errors. Where there is a NaN
    // the sum is one, and so is its factor.
    const float all_steps = 0x1p31f / value_steps * 0.99f;
    const float factor = sum == 0 ? 1.0f : std::min(all_steps / sum, weight_steps / largest_weight);
    round_weights(row, keys_, factor, reinterpret_cast<int16_t*>(weights_ + query * pairs_));
    return inverse / factor;
  }

  int64_t keys_, width_;
  float scale_, row_steps_;
  int64_t depth_, pairs_, scores_stride_, out_stride_;  // depth_ and pairs_ in words
  Scratch<float> floats_;
  Scratch<int32_t> words_;
  float *scores_, *key_scales_, *value_scales_, *out_, *column_scales_, *column_factors_, *row_;
  int32_t *k_, *v_, *queries_, *weights_;
  std::vector<int16_t> even_, odd_;  // rows on their way into k_ or v_
};

}  // namespace nabla

#endif
