// Linear attention per head (Katharopoulos et al., 2020), f = elu + 1, S = f(k)^T v (d x d), z
// = sum_n f(k_n):
//   y = f(q) S / (f(q) . z + eps);  q, k, v (B, H, N, d) -> y (B, H, N, d). Cost O(N d^2), not O(N^2 d).
// With D = f(q) . z + eps (one a row) and g = dy / D, h = -(g . y) (one a row):
//   df(q) = g S^T + h z,  dS = f(q)^T g,  dz = sum_n h_n f(q_n),
//   df(k) = v dS^T + dz,  dv = f(k) dS,  and f'(x) = 1 for x > 0, exp(x) otherwise.
// Saved: q, k, v. The packed form sees qkv (B, N, 3 H d) as three views and writes y (B, N, H d) in place.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"
#include "autograd/ops/packed_heads.h"

namespace nabla {

Variable linear_attention(const Variable& q_in, const Variable& k_in, const Variable& v_in, double eps) {
  check_alike("linear_attention", q_in, k_in, v_in);
  check(q_in.shape().rank() == 4 && q_in.shape() == k_in.shape() && q_in.shape() == v_in.shape(),
        "linear_attention: q {}, k {} and v {} are not all (B, H, N, d)", q_in.shape(), k_in.shape(),
        v_in.shape());
  const Tensor q = with_dense_rows(q_in.value()), k = with_dense_rows(k_in.value()),
               v = with_dense_rows(v_in.value());
  const Tensor y = Tensor::empty(q.shape(), q.dtype(), q.device());
  kernels_for(q).linear_attention(q, k, v, eps, y);

  return record("linear_attention", y, {q_in, k_in, v_in}, [q, k, v, eps](const Tensor& dy) -> Gradients {
    const auto empty = [](const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); };
    const Tensor dq = empty(q), dk = empty(k), dv = empty(v);
    kernels_for(dy).linear_attention_backward(with_dense_rows(dy), q, k, v, eps, dq, dk, dv);
    return {dq, dk, dv};
  });
}

Variable packed_linear_attention(const Variable& qkv_in, int64_t heads, double eps) {
  check_alike("packed_linear_attention", qkv_in);
  check_packed("packed_linear_attention", qkv_in.shape(), heads);
  const Tensor qkv = qkv_in.value().contiguous();
  const auto [q, k, v] = split_heads(qkv, heads);
  const Tensor y = Tensor::empty({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, qkv.dtype(), qkv.device());
  kernels_for(qkv).linear_attention(q, k, v, eps, heads_view(y, heads));

  return record("packed_linear_attention", y, {qkv_in}, [qkv, heads, eps](const Tensor& dy) -> Gradients {
    const Tensor dqkv = Tensor::empty_like(qkv);
    const auto [q, k, v] = split_heads(qkv, heads);
    const auto [dq, dk, dv] = split_heads(dqkv, heads);
    kernels_for(dy).linear_attention_backward(heads_view(dy.contiguous(), heads), q, k, v, eps, dq, dk, dv);
    return dqkv;
  });
}

}  // namespace nabla
