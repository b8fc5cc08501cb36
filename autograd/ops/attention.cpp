// Softmax attention per head (Vaswani et al., 2017): y = P v, P = softmax(s), s = scale * q k^T.
//   q (B, H, N, d), k and v (B, H, M, d) -> y (B, H, N, d)
// dv = P^T dy,  dP = dy v^T,  ds = P * (dP - rowsum(dy * y)),  dq = scale * ds k,  dk = scale * ds^T q.
// P (N x M) is never stored: the backward pass makes it again, tile by tile, from q, k and the rows'
// log-sum-exp (Dao et al., "FlashAttention", 2022). Saved: q, k, v, y, logsumexp (B, H, N).
//
// The packed form works on views of qkv (B, N, 3 H d) and writes y (B, N, H d) in place, so nothing is copied
// to split the heads or to join them. With rotary embedding (rope.cpp) copies of q and k are turned and saved, v
// stays where it is; dq and dk are turned back in place.
#include <cmath>

#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"
#include "autograd/ops/packed_heads.h"

namespace nabla {

namespace {

Tensor normalisers_for(const Tensor& q) {
  return Tensor::empty({q.size(0), q.size(1), q.size(2)}, wide(q.dtype()), q.device());
}

// x (B, H, N, d) turned, stored as (B, N, H, d): what lies side by side in a packed projection still does.
Tensor turned_copy(const Tensor& x, const RopeTables& tables) {
  Tensor y =
      Tensor::empty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.dtype(), x.device()).transpose(1, 2);
  kernels_for(x).rope(x, tables.cosines, tables.sines, false, y);
  return y;
}

// Places without a key have a score of -infinity, which a scale of 0 or less would turn around.
void check_scale(const char* op, double scale) {
  check(scale > 0 && std::isfinite(scale), "{}: scale {} is not positive and finite", op, scale);
}

}  // namespace

Variable attention(const Variable& q_in, const Variable& k_in, const Variable& v_in, double scale) {
  check_alike("attention", q_in, k_in, v_in);
  check_scale("attention", scale);
  const Shape &qs = q_in.shape(), &ks = k_in.shape(), &vs = v_in.shape();
  check(qs.rank() == 4 && ks.rank() == 4 && ks == vs && qs[0] == ks[0] && qs[1] == ks[1] && qs[3] == ks[3],
        "attention: q {}, k {} and v {} are not (B, H, N, d), (B, H, M, d) and (B, H, M, d)", qs, ks, vs);
  check(ks[2] >= 1 || qs.numel() == 0, "attention: q {} has no keys to attend to in k {}", qs, ks);
  const Tensor q = with_dense_rows(q_in.value()), k = with_dense_rows(k_in.value()),
               v = with_dense_rows(v_in.value());
  const Tensor y = Tensor::empty(qs, q.dtype(), q.device());
  const Tensor logsumexp = normalisers_for(q);
  kernels_for(q).attention(q, k, v, scale, false, y, logsumexp);

  return record(
      "attention", y, {q_in, k_in, v_in}, [q, k, v, y, logsumexp, scale](const Tensor& dy) -> Gradients {
        const auto empty = [](const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); };
        const Tensor dq = empty(q), dk = empty(k), dv = empty(v);
        kernels_for(dy).attention_backward(with_dense_rows(dy), q, k, v, y, logsumexp, scale, dq, dk, dv);
        return {dq, dk, dv};
      });
}

Variable packed_attention(const Variable& qkv_in, int64_t heads, double scale, const RopeTables& rope,
                          bool allow_integers) {
  check_alike("packed_attention", qkv_in);
  check_scale("packed_attention", scale);
  check_packed("packed_attention", qkv_in.shape(), heads);
  const Tensor qkv = qkv_in.value().contiguous();
  const bool turned = rope.cosines.defined() || rope.sines.defined();
  const RopeTables tables =
      turned ? rope_tables("packed_attention", rope, qkv, qkv.size(1), qkv.size(2) / (3 * heads))
             : RopeTables();
  auto [q, k, v] = split_heads(qkv, heads);
  if (turned) {
    q = turned_copy(q, tables);
    k = turned_copy(k, tables);
  }
  const Tensor y = Tensor::empty({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, qkv.dtype(), qkv.device());
  const Tensor logsumexp = normalisers_for(q);
  kernels_for(qkv).attention(q, k, v, scale, allow_integers, heads_view(y, heads), logsumexp);

  return record("packed_attention", y, {qkv_in}, [=, q = q, k = k, v = v](const Tensor& dy) -> Gradients {
    const Tensor dqkv = Tensor::empty_like(qkv);
    const auto [dq, dk, dv] = split_heads(dqkv, heads);
    kernels_for(dy).attention_backward(heads_view(dy.contiguous(), heads), q, k, v, heads_view(y, heads),
                                       logsumexp, scale, dq, dk, dv);
    if (turned) {
      for (const Tensor& gradient : {dq, dk})
        kernels_for(dy).rope(gradient, tables.cosines, tables.sines, true, gradient);
    }
    return dqkv;
  });
}

}  // namespace nabla
