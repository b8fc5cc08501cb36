// out = P v with P = softmax(scale q k^T) over each row, per batch entry and head;
//   q (B, H, N, d), k and v (B, H, M, d) -> out (B, H, N, d), logsumexp (B, H, N) = log sum exp(scale q k^T).
// Queries are taken in tiles, whose scores against all M keys stay in the cache; no more is ever stored.
// Backward, with P rebuilt as exp(scale q k^T - logsumexp) and delta_n = sum over d of dout * out:
//   dv = P^T dout,  dS = P * (dout v^T - delta) * scale,  dq = dS k,  dk = dS^T q.
// One thread does all tiles of a head in order, so dk and dv need no atomics and no order of chance.
#include <cmath>
#include <limits>

#include "backends/cpu/attention_amx.h"
#include "backends/cpu/attention_forward.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/heads.h"
#include "backends/cpu/integer_attention.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla::cpu {

namespace {

constexpr int64_t largest_tile = 200;

// Queries per tile: tiles of nearly equal size, as a short last one would pay for packing k and v
// all the same.
int64_t tile_size(int64_t queries) {
  const int64_t tiles = (queries + largest_tile - 1) / largest_tile;
  return (queries + tiles - 1) / tiles;
}

template <class T>
void forward(const Heads<T>& q, const Heads<T>& k, const Heads<T>& v, double scale, const Heads<T>& out,
             Wide<T>* logsumexp, int64_t heads) {
  using W = Wide<T>;
  const int64_t n = q.length(), m = k.length(), d = q.width();
  constexpr int64_t lanes = 16;
  const int64_t tile_rows = tile_size(n), tiles = (n + tile_rows - 1) / tile_rows;
  const int64_t stride = rounded_up(m, lanes);
  parallel_for(heads * tiles, 1, [&](int64_t begin, int64_t end) {
    Scratch<W> scratch(2 * tile_rows * d + 2 * m * d + tile_rows * stride);
    W *q_copy = scratch.take(tile_rows * d), *out_copy = scratch.take(tile_rows * d);
    W *k_copy = scratch.take(m * d), *v_copy = scratch.take(m * d),
      *scores = scratch.take(tile_rows * stride);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / tiles, first = task % tiles * tile_rows;
      const int64_t rows = std::min(tile_rows, n - first);
      const auto queries = q.read(head, first, rows, q_copy);
      const auto keys = k.read(head, 0, m, k_copy);
      const auto values = v.read(head, 0, m, v_copy);
      const auto result = out.target(head, first, rows, out_copy);
      W inverse[largest_tile];
      gemm(false, true, rows, m, d, W(1), queries.data, queries.stride, keys.data, keys.stride, W(0), scores,
           stride);
      for (int64_t i = 0; i < rows; ++i) {
        W* row = scores + i * stride;
        std::fill(row + m, row + stride, -std::numeric_limits<W>::infinity());
        inverse[i] =
            exponentiate<lanes>(row, stride, static_cast<W>(scale), logsumexp + head * n + first + i);
      }
      gemm(false, false, rows, d, m, W(1), scores, stride, values.data, values.stride, W(0), result.data,
           result.stride);
      for (int64_t i = 0; i < rows; ++i) {
        W* row = result.row(i);
#pragma omp simd
        for (int64_t j = 0; j < d; ++j) row[j] *= inverse[i];
      }
      out.write_back(head, first, rows, result);
    }
  });
}

// One row: probabilities <- exp(scores - logsumexp).
template <class W>
void rebuild(W* scores, int64_t n, W logsumexp) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) scores[i] = vexp(scores[i] - logsumexp);
}

// One row: dP -> dS.
template <class W>
void softmax_gradient(const W* probabilities, W* gradient, int64_t n, W delta, W scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) gradient[i] = probabilities[i] * (gradient[i] - delta) * scale;
}

template <class T>
struct BackwardHeads {
  Heads<T> dout, q, k, v, out, dq, dk, dv;
};

template <class T>
void backward(const BackwardHeads<T>& x, const Wide<T>* logsumexp, double scale, int64_t heads) {
  using W = Wide<T>;
  const int64_t n = x.q.length(), m = x.k.length(), d = x.q.width();
  const int64_t tile_rows = tile_size(n);
  const W factor = static_cast<W>(scale);
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    Scratch<W> scratch(4 * tile_rows * d + 4 * m * d + 2 * tile_rows * m);
    W *q_copy = scratch.take(tile_rows * d), *dout_copy = scratch.take(tile_rows * d);
    W *out_copy = scratch.take(tile_rows * d), *dq_copy = scratch.take(tile_rows * d);
    W *k_copy = scratch.take(m * d), *v_copy = scratch.take(m * d);
    W *dk_copy = scratch.take(m * d), *dv_copy = scratch.take(m * d);
    W *p = scratch.take(tile_rows * m), *ds = scratch.take(tile_rows * m);
    for (int64_t head = begin; head < end; ++head) {
      const auto k = x.k.read(head, 0, m, k_copy), v = x.v.read(head, 0, m, v_copy);
      const auto dk = x.dk.target(head, 0, m, dk_copy), dv = x.dv.target(head, 0, m, dv_copy);
      for (int64_t first = 0; first < n; first += tile_rows) {
        const int64_t rows = std::min(tile_rows, n - first);
        const W beta = first == 0 ? W(0) : W(1);
        const auto q = x.q.read(head, first, rows, q_copy), dout = x.dout.read(head, first, rows, dout_copy);
        const auto out = x.out.read(head, first, rows, out_copy);
        const auto dq = x.dq.target(head, first, rows, dq_copy);
        gemm(false, true, rows, m, d, factor, q.data, q.stride, k.data, k.stride, W(0), p, m);
        for (int64_t i = 0; i < rows; ++i) rebuild(p + i * m, m, logsumexp[head * n + first + i]);
        gemm(true, false, m, d, rows, W(1), p, m, dout.data, dout.stride, beta, dv.data, dv.stride);
        gemm(false, true, rows, m, d, W(1), dout.data, dout.stride, v.data, v.stride, W(0), ds, m);
        for (int64_t i = 0; i < rows; ++i) {
          softmax_gradient(p + i * m, ds + i * m, m, dot(dout.row(i), out.row(i), d), factor);
        }
        gemm(false, false, rows, d, m, W(1), ds, m, k.data, k.stride, W(0), dq.data, dq.stride);
        gemm(true, false, m, d, rows, W(1), ds, m, q.data, q.stride, beta, dk.data, dk.stride);
        x.dq.write_back(head, first, rows, dq);
      }
      x.dk.write_back(head, 0, m, dk);
      x.dv.write_back(head, 0, m, dv);
    }
  });
}

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
               [[maybe_unused]] bool allow_integers, const Tensor& out, const Tensor& logsumexp) {
  if (q.numel() == 0 || k.numel() == 0) {  // nothing to attend to
    out.fill(0);
    logsumexp.fill(-std::numeric_limits<double>::infinity());
    return;
  }
  visit_floating(q.dtype(), [&]<class T>(T) {
    const Heads<T> queries(q), keys(k), values(v), result(out);
    const int64_t heads = q.size(0) * q.size(1);
    auto* normalisers = logsumexp.data<Wide<T>>();
    using W = Wide<T>;
#ifdef __AVX512BF16__
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (has_amx())
        return attention_forward<AmxAttentionBlock>(queries, keys, values, scale, result, normalisers, heads);
    }
#endif
#if defined(__SSE2__) && !defined(__AVX512F__)  // whose vectors multiply floats as fast
    if constexpr (std::is_same_v<W, float>) {
      if (allow_integers && k.size(2) <= IntegerAttentionBlock::most_keys)
        return attention_forward<IntegerAttentionBlock>(queries, keys, values, scale, result, normalisers,
                                                        heads);
    }
#endif
    if constexpr (has_register_product<T>) {
      attention_forward<AttentionBlock<T, W>>(queries, keys, values, scale, result, normalisers, heads);
    } else if constexpr (has_register_product<W>) {
      attention_forward<AttentionBlock<W, W>>(queries, keys, values, scale, result, normalisers, heads);
    } else {
      forward(queries, keys, values, scale, result, normalisers, heads);
    }
  });
}

void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& out, const Tensor& logsumexp, double scale, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv) {
  if (q.numel() == 0 || k.numel() == 0) {
    for (const Tensor& gradient : {dq, dk, dv}) gradient.fill(0);
    return;
  }
  visit_floating(q.dtype(), [&]<class T>(T) {
    const BackwardHeads<T> heads{Heads<T>(dout), Heads<T>(q),  Heads<T>(k),  Heads<T>(v),
                                 Heads<T>(out),  Heads<T>(dq), Heads<T>(dk), Heads<T>(dv)};
    backward(heads, logsumexp.data<Wide<T>>(), scale, q.size(0) * q.size(1));
  });
}

}  // namespace nabla::cpu
