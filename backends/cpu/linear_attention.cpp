// Per batch entry and head, with f(x) = elu(x) + 1 = x + 1 for x > 0, else e^x; rows n of (N, d) matrices:
//   Q = f(q), K = f(k), S = K^T v (d, d), z = sum over n of K_n (d), D_n = Q_n . z + eps,
//   out_n = Q_n S / D_n.
// Backward, with G_n = dout_n / D_n (the gradient of the numerator Q_n S) and R = G S^T:
//   dD_n = -(dout_n . out_n) / D_n = -(Q_n . R_n) / D_n, so out itself is not needed;
//   dQ_n = R_n + dD_n z,  dS = Q^T G,  dz = sum over n of dD_n Q_n,
//   dK_n = v_n dS^T + dz,  dv = K dS,
//   dq = dQ * f'(q),  dk = dK * f'(k)  with f'(x) = min(f(x), 1), as f(x) > 1 just where x > 0.
#include <algorithm>

#include "backends/cpu/gemm.h"
#include "backends/cpu/heads.h"
#include "backends/cpu/linear_attention_amx.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla::cpu {

namespace {

// features (N, d) = f(x), without gaps.
template <class T>
void load_features(const Heads<T>& x, int64_t head, Wide<T>* features) {
  using W = Wide<T>;
  const int64_t n = x.length(), d = x.width();
  const auto rows = x.read(head, 0, n, features);
  for (int64_t i = 0; i < n; ++i) {
    const W* from = rows.row(i);
    W* to = features + i * d;
#pragma omp simd
    for (int64_t j = 0; j < d; ++j) {
      const W below = vexp_negative(from[j] > W(0) ? W(0) : from[j]);  // a NaN stays one
      to[j] = from[j] > W(0) ? from[j] + W(1) : below;
    }
  }
}

// sum (d) = sum over n of factor_n * x_n; null factors: 1.
template <class W>
void weighted_sum(const W* x, const W* factors, int64_t n, int64_t d, W* sum) {
  std::fill(sum, sum + d, W(0));
  for (int64_t i = 0; i < n; ++i) {
    const W factor = factors ? factors[i] : W(1);
#pragma omp simd
    for (int64_t j = 0; j < d; ++j) sum[j] += factor * x[i * d + j];
  }
}

template <class W>
void scale_row(const W* x, W factor, int64_t n, W* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor;
}

// row <- (row + factor * vector) * f'(x), features = f(x).
template <class W>
void finish_gradient(W* row, W factor, const W* vector, const W* features, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const W slope = features[i] > W(1) ? W(1) : features[i];
    row[i] = (row[i] + factor * vector[i]) * slope;
  }
}

template <class T>
void forward(const Heads<T>& q, const Heads<T>& k, const Heads<T>& v, double eps, const Heads<T>& out,
             int64_t heads) {
  using W = Wide<T>;
  const int64_t n = q.length(), d = q.width();
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    Scratch<W> scratch(4 * n * d + d * d + d);
    W *q_features = scratch.take(n * d), *k_features = scratch.take(n * d);
    W *v_copy = scratch.take(n * d), *out_copy = scratch.take(n * d);
    W *state = scratch.take(d * d), *z = scratch.take(d);
    for (int64_t head = begin; head < end; ++head) {
      load_features(q, head, q_features);
      load_features(k, head, k_features);
      const auto values = v.read(head, 0, n, v_copy);
      const auto result = out.target(head, 0, n, out_copy);
      gemm(true, false, d, d, n, W(1), k_features, d, values.data, values.stride, W(0), state, d);
      weighted_sum<W>(k_features, nullptr, n, d, z);
      gemm(false, false, n, d, d, W(1), q_features, d, state, d, W(0), result.data, result.stride);
      for (int64_t i = 0; i < n; ++i) {
        const W denominator = dot(q_features + i * d, z, d) + static_cast<W>(eps);
        scale_row<W>(result.row(i), W(1) / denominator, d, result.row(i));
      }
      out.write_back(head, 0, n, result);
    }
  });
}

#ifdef __AVX512BF16__
void forward_by_tiles(const Heads<BFloat16>& q, const Heads<BFloat16>& k, const Heads<BFloat16>& v,
                      double eps, const Heads<BFloat16>& out, int64_t heads) {
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    AmxLinearAttention attention(q.length(), q.width());
    for (int64_t head = begin; head < end; ++head)
      attention.attend(q, k, v, head, static_cast<float>(eps), out);
  });
}
#endif

template <class T>
struct BackwardHeads {
  Heads<T> dout, q, k, v, dq, dk, dv;
};

// The buffers of one thread.
template <class W>
struct Workspace {
  Scratch<W> scratch;
  W *q_features, *k_features, *numerator_gradient, *in_copy, *out_copy;  // (N, d)
  W *state, *dstate, *z, *dz;                                            // (d, d) and (d)
  W *denominator, *ddenominator;                                         // (N)

  Workspace(int64_t n, int64_t d)
      : scratch(5 * n * d + 2 * d * d + 2 * d + 2 * n),
        q_features(scratch.take(n * d)),
        k_features(scratch.take(n * d)),
        numerator_gradient(scratch.take(n * d)),
        in_copy(scratch.take(n * d)),
        out_copy(scratch.take(n * d)),
        state(scratch.take(d * d)),
        dstate(scratch.take(d * d)),
        z(scratch.take(d)),
        dz(scratch.take(d)),
        denominator(scratch.take(n)),
        ddenominator(scratch.take(n)) {}
};

template <class T>
void backward_head(const BackwardHeads<T>& x, double eps, int64_t head, Workspace<Wide<T>>& w) {
  using W = Wide<T>;
  const int64_t n = x.q.length(), d = x.q.width();
  load_features(x.q, head, w.q_features);
  load_features(x.k, head, w.k_features);
  weighted_sum<W>(w.k_features, nullptr, n, d, w.z);
  const auto dout = x.dout.read(head, 0, n, w.in_copy);
  for (int64_t i = 0; i < n; ++i) {
    w.denominator[i] = dot(w.q_features + i * d, w.z, d) + static_cast<W>(eps);
    scale_row<W>(dout.row(i), W(1) / w.denominator[i], d, w.numerator_gradient + i * d);
  }
  const auto v = x.v.read(head, 0, n, w.in_copy);
  gemm(true, false, d, d, n, W(1), w.k_features, d, v.data, v.stride, W(0), w.state, d);
  gemm(true, false, d, d, n, W(1), w.q_features, d, w.numerator_gradient, d, W(0), w.dstate, d);

  const auto dq = x.dq.target(head, 0, n, w.out_copy);
  gemm(false, true, n, d, d, W(1), w.numerator_gradient, d, w.state, d, W(0), dq.data, dq.stride);
  for (int64_t i = 0; i < n; ++i) {
    const W* features = w.q_features + i * d;
    w.ddenominator[i] = -dot<W>(features, dq.row(i), d) / w.denominator[i];
    finish_gradient<W>(dq.row(i), w.ddenominator[i], w.z, features, d);
  }
  x.dq.write_back(head, 0, n, dq);

  weighted_sum<W>(w.q_features, w.ddenominator, n, d, w.dz);
  const auto dk = x.dk.target(head, 0, n, w.out_copy);
  gemm(false, true, n, d, d, W(1), v.data, v.stride, w.dstate, d, W(0), dk.data, dk.stride);
  for (int64_t i = 0; i < n; ++i) finish_gradient<W>(dk.row(i), W(1), w.dz, w.k_features + i * d, d);
  x.dk.write_back(head, 0, n, dk);

  const auto dv = x.dv.target(head, 0, n, w.out_copy);
  gemm(false, false, n, d, d, W(1), w.k_features, d, w.dstate, d, W(0), dv.data, dv.stride);
  x.dv.write_back(head, 0, n, dv);
}

}  // namespace

void linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, double eps, const Tensor& out) {
  if (out.numel() == 0) return;
  visit_floating(q.dtype(), [&]<class T>(T) {
    const Heads<T> queries(q), keys(k), values(v), result(out);
    const int64_t heads = q.size(0) * q.size(1);
#ifdef __AVX512BF16__
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (has_amx()) return forward_by_tiles(queries, keys, values, eps, result, heads);
    }
#endif
    forward(queries, keys, values, eps, result, heads);
  });
}

void linear_attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                               double eps, const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  if (dq.numel() == 0) return;
  visit_floating(q.dtype(), [&]<class T>(T) {
    const BackwardHeads<T> heads{Heads<T>(dout), Heads<T>(q),  Heads<T>(k), Heads<T>(v),
                                 Heads<T>(dq),   Heads<T>(dk), Heads<T>(dv)};
    parallel_for(q.size(0) * q.size(1), 1, [&](int64_t begin, int64_t end) {
      Workspace<Wide<T>> workspace(q.size(2), q.size(3));
      for (int64_t head = begin; head < end; ++head) backward_head(heads, eps, head, workspace);
    });
  });
}

}  // namespace nabla::cpu
