// The forward pass of softmax attention for a few queries at a time: their scores against all keys stay in
// the first-level cache, the sums of the products in registers (register_product.h). Keys and values are
// copied once for each head and thread, in the order in which the products read them.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numbers>
#include <type_traits>

#include "backends/cpu/heads.h"
#include "backends/cpu/output_line.h"
#include "backends/cpu/pack_strip.h"
#include "backends/cpu/register_product.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla {

inline int64_t rounded_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// The largest of n scores. n is a multiple of `lanes`, which many maxima are formed side by side.
template <int64_t lanes, class W>
W largest_score(const W* scores, int64_t n) {
  W most[lanes];
  std::copy_n(scores, lanes, most);
  for (int64_t i = lanes; i < n; i += lanes) {
#pragma omp simd
    for (int64_t j = 0; j < lanes; ++j) most[j] = scores[i + j] > most[j] ? scores[i + j] : most[j];
  }
  W largest = most[0];
#pragma omp simd reduction(max : largest)
  for (int64_t j = 0; j < lanes; ++j) largest = most[j] > largest ? most[j] : largest;
  return largest;
}

// exp(scale (score - largest)) as a power of 2, which takes half the time. The difference comes first: it is exact where it
// matters, and a product of a large score is not.
template <class W>
struct Exponents {
  W scale, largest, factor = scale * std::numbers::log2e_v<W>;

  // Of one score or of a vector of them.
  template <class Scores>
  Scores power(Scores scores) const {
    return factor * (scores - largest);
  }
  // log(sum of exp(scale score)), given the sum of 2^power.
  W logsumexp(W sum) const { return scale * largest + std::log(sum); }
};

// vexp2_negative() of a line, each step of all its vectors before the next: one vector alone would wait for its own results.
inline void exp2_negative(Line& x) {
  using Words [[gnu::vector_size(sizeof(FloatVector))]] = int32_t;
  constexpr Exp2Fit fit = exp2_fit();
  constexpr int count = static_cast<int>(std::size(fit.terms));
  Line shifted, rest, sum;
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) {
    shifted[i] = x[i] + fit.magic;
    rest[i] = x[i] - (shifted[i] - fit.magic);
    sum[i] = FloatVector{} + fit.terms[count - 1];
  }
#pragma GCC unroll 8
  for (int power = count - 2; power >= 0; --power) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < line_vectors; ++i) sum[i] = sum[i] * rest[i] + fit.terms[power];
  }
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) {
    const auto scale = reinterpret_cast<FloatVector>(reinterpret_cast<Words>(shifted[i]) << 23);
    x[i] = x[i] < fit.least ? FloatVector{} : sum[i] * scale;
  }
}

// scores (lanes) <- 2^power(scores).
template <int64_t lanes>
void powers_of_two(const Exponents<float>& of, float* scores) {
  static_assert(lanes % line_columns == 0);
  for (int64_t j = 0; j < lanes; j += line_columns) {
    Line x;
    load_line(scores + j, x);
#pragma GCC unroll 4
    for (int64_t i = 0; i < line_vectors; ++i) x[i] = of.power(x[i]);
    exp2_negative(x);
    store_line(x, scores + j);
  }
}
template <int64_t lanes>
void powers_of_two(const Exponents<double>& of, double* scores) {
  for (int64_t j = 0; j < lanes; ++j) scores[j] = vexp2_negative(of.power(scores[j]));
}

// scores <- exp(scale (scores - max)) for one row; returns 1 / their sum and writes the row's logsumexp. n
// is a multiple of `lanes`, which many sums are formed side by side.
template <int64_t lanes, class W>
W exponentiate(W* scores, int64_t n, W scale, W* logsumexp) {
  const Exponents<W> of{scale, largest_score<lanes>(scores, n)};
  W sums[lanes] = {};
  for (int64_t i = 0; i < n; i += lanes) {
    powers_of_two<lanes>(of, scores + i);
#pragma omp simd
    for (int64_t j = 0; j < lanes; ++j) sums[j] += scores[i + j];
  }
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < lanes; ++j) sum += sums[j];
  *logsumexp = of.logsumexp(sum);
  return W(1) / sum;
}

// One thread's memory for attention with elements E, computed in W; pieces of `columns` keys or values.
template <class E, class W>
class AttentionBlock {
 public:
  static constexpr int64_t rows = register_rows;

  AttentionBlock(int64_t keys, int64_t width, W scale)
      : keys_(keys),
        width_(width),
        scale_(scale),
        depth_(rounded_up(width, pair)),
        scores_stride_(rounded_up(keys, lanes)),
        values_stride_(rounded_up(width, columns)),
        narrow_count_(std::is_same_v<E, W> ? 0 : register_rows * scores_stride_),
        wide_(register_rows * (scores_stride_ + values_stride_)),
        narrow_(register_rows * depth_ + narrow_count_ + scores_stride_ * (depth_ + values_stride_)),
        scores_(wide_.take(register_rows * scores_stride_)),
        out_(wide_.take(register_rows * values_stride_)),
        queries_(narrow_.take(register_rows * depth_)),
        probabilities_(narrow_.take(narrow_count_)),
        k_(narrow_.take(scores_stride_ * depth_)),
        v_(narrow_.take(scores_stride_ * values_stride_)) {
    // What no key, value or query fills is multiplied all the same: it must be 0.
    std::fill_n(k_, scores_stride_ * depth_, E{});
    std::fill_n(v_, scores_stride_ * values_stride_, E{});
    std::fill_n(scores_, register_rows * scores_stride_, W(0));
    std::fill_n(queries_, register_rows * depth_, E{});
    std::fill_n(probabilities_, narrow_count_, E{});
  }

  // Copies a head's keys as k^T and its values, each in pieces of `columns` columns.
  template <class T>
  void take_head(const Heads<T>& k, const Heads<T>& v, int64_t head) {
    for (int64_t key = 0; key < keys_; ++key) {
      if (key + rows_ahead < keys_) {
        prefetch_line(k.row(head, key + rows_ahead), width_);
        prefetch_line(v.row(head, key + rows_ahead), width_);
      }
      const T *k_row = k.row(head, key), *v_row = v.row(head, key);
      E* k_column = k_ + key / columns * columns * depth_ + key % columns * pair;
      for (int64_t j = 0; j < width_; j += pair) {
        for (int64_t p = 0; p < std::min(pair, width_ - j); ++p)
          k_column[j * columns + p] = as<E>(k_row[j + p]);
      }
      E* v_line = v_ + key / pair * columns * pair + key % pair;
      for (int64_t first = 0; first < width_; first += columns, v_line += scores_stride_ * columns) {
        const int64_t count = std::min(columns, width_ - first);
        for (int64_t j = 0; j < count; ++j) v_line[j * pair] = as<E>(v_row[first + j]);
      }
    }
  }

  // Attention of queries [first, first + count) of a head, count <= rows: stored when finish() has been called.
  template <class T>
  void attend(const Heads<T>& q, const Heads<T>& out, int64_t head, int64_t first, int64_t count,
              W* logsumexp) {
    for (int64_t i = 0; i < count; ++i) {
      if (first + i + rows < q.length()) prefetch_line(q.row(head, first + i + rows), width_);
      prefetch_line(out.row(head, first + i), width_);
      const T* query = q.row(head, first + i);
      for (int64_t j = 0; j < width_; ++j) queries_[i * depth_ + j] = as<E>(query[j]);
    }
    for (int64_t key = 0; key < keys_; key += columns) {
      register_product(queries_, depth_, k_ + key * depth_, depth_, scores_ + key, scores_stride_);
    }
    W inverse[register_rows];
    for (int64_t i = 0; i < count; ++i) {
      W* row = scores_ + i * scores_stride_;
      std::fill(row + keys_, row + scores_stride_, -std::numeric_limits<W>::infinity());
      inverse[i] = exponentiate<lanes>(row, scores_stride_, scale_, logsumexp + i);
    }
    const E* probabilities = narrowed(count);
    for (int64_t j = 0; j < width_; j += columns) {
      register_product(probabilities, scores_stride_, v_ + j * scores_stride_, rounded_up(keys_, pair),
                       out_ + j, values_stride_);
    }
    for (int64_t i = 0; i < count; ++i) {
      T* row = out.row(head, first + i);
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) store(row[j], out_[i * values_stride_ + j] * inverse[i]);
    }
  }
  void finish() {}

 private:
  // Scores are exponentiated many at a time, so rows of them are longer than one call's columns may be.
  static constexpr int64_t pair = register_pair<E>, columns = register_columns<W>,
                           lanes = 256 / static_cast<int64_t>(sizeof(W));
  static_assert(lanes % columns == 0);

  // A head's rows lie far apart, one in each token's row of all heads: without being asked for, each would be waited for.
  static constexpr int64_t rows_ahead = 4;

  template <class To, class From>
  static To as(From x) {
    if constexpr (std::is_same_v<To, From>)
      return x;
    else
      return static_cast<To>(x);
  }

  // The probabilities as the product with the values takes them.
  const E* narrowed(int64_t rows) {
    if constexpr (std::is_same_v<E, W>) {
      return scores_;
    } else {
      for (int64_t i = 0; i < rows * scores_stride_; i += register_lanes) {
        register_narrow(scores_ + i, probabilities_ + i);
      }
      return probabilities_;
    }
  }

  int64_t keys_, width_;
  W scale_;
  int64_t depth_, scores_stride_, values_stride_, narrow_count_;
  Scratch<W> wide_;
  Scratch<E> narrow_;
  W *scores_, *out_;
  E *queries_, *probabilities_, *k_, *v_;
};

// Attention of T by blocks of queries: AttentionBlock or what has the same functions.
template <class Block, class T>
void attention_forward(const Heads<T>& q, const Heads<T>& k, const Heads<T>& v, double scale,
                       const Heads<T>& out, Wide<T>* logsumexp, int64_t heads) {
  const int64_t n = q.length(), blocks = (n + Block::rows - 1) / Block::rows;
  parallel_for(heads * blocks, 1, [&](int64_t begin, int64_t end) {
    Block block(k.length(), q.width(), static_cast<Wide<T>>(scale));
    int64_t taken = -1;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / blocks, first = task % blocks * Block::rows;
      if (head != taken) block.take_head(k, v, taken = head);
      block.attend(q, out, head, first, std::min(Block::rows, n - first), logsumexp + head * n + first);
    }
    block.finish();
  });
}

}  // namespace nabla
