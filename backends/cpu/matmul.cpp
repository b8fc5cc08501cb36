// out = residual + column_scale * act(op(a) op(b) + bias), all but the product fused into its store.
//   op(a) (batch, M, K), op(b) (batch, K, N) -> out (batch, M, N)
// Many rows times one matrix: packed_product.h, where this processor has it. Two matrices of many rows, the first
// transposed: transposed_product.h. Other products of f32 and bf16: oneDNN's matmul (onednn_product.h), with either operand transposed. f64: Eigen, then a loop for the epilogue.
// Whoever multiplies, the product is cut into pieces by its shape (product.h), and each is one thread's work.
#include "backends/cpu/epilogue.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/onednn_product.h"
#include "backends/cpu/packed_product.h"
#include "backends/cpu/packed_weights.h"
#include "backends/cpu/transposed_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

// b may be of another dtype than a; what is packed is of a's.
void run_packed(const Product& p, const Tensor& a, const Tensor& b, const Tensor& out,
                const Epilogue& epilogue, bool frozen_b) {
  const size_t bytes = packed_bytes(a.dtype(), p.k, p.n);
  const auto fill = [&](void* room) { pack(b.to(a.dtype()), p.b_transposed, p.k, p.n, room); };
  const PackedOperand packed(b, layout_of_b(p, b.dtype()), frozen_b, bytes, fill);
  packed_product(a, p.m, p.k, p.n, packed.data(), out, epilogue);
}

void run_eigen(const Product& p, const Tensor& a, const Tensor& b, const Tensor& out,
               const Epilogue& epilogue) {
  // The residual may be out itself, so the product stands elsewhere until the epilogue.
  const Tensor product = Tensor::empty(out.shape(), Dtype::f64);
  const ProductPieces pieces(p, true, false);
  parallel_tasks(static_cast<int64_t>(pieces.list.size()), [&](int64_t number) {
    const auto& [batch, rows, columns, terms] = pieces.list[static_cast<size_t>(number)];
    const int64_t row = rows.first;
    for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
      const double* left = a.data<double>() + (p.a_shared ? 0 : i * p.m * p.k);
      gemm(p.a_transposed, p.b_transposed, rows.count, p.n, p.k, 1.0,
           left + (p.a_transposed ? row : row * p.k), p.a_transposed ? p.m : p.k,
           b.data<double>() + (p.b_shared ? 0 : i * p.k * p.n), p.b_transposed ? p.k : p.n, 0.0,
           product.data<double>() + i * p.m * p.n + row * p.n, p.n);
    }
  });
  finish_product(product.data<double>(), p.batch * p.m, p.n, epilogue, out.data<double>());
}

// A sum of no products: the epilogue of zero.
void fill_with_epilogue(const Tensor& out, const Epilogue& epilogue) {
  const Tensor wide = Tensor::empty(out.shape(), Dtype::f64);
  finish_product<double>(nullptr, out.numel() / out.size(2), out.size(2), convert(epilogue, Dtype::f64),
                         wide.data<double>());
  out.copy_from(wide);
}

}  // namespace

void release_packed_weights() { packed_weights().clear(); }

void matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out,
            const Epilogue& epilogue, bool frozen_b) {
  if (out.numel() == 0) return;
  const Product product = describe(a, a_transposed, b, b_transposed, out);
  const auto is_packed = [&](Dtype dtype) {
    return packs(product, frozen_b) && !a_transposed && has_packed_product(dtype, product.m, product.k);
  };
  const bool is_plain = !epilogue.bias.defined() && epilogue.activation == Epilogue::Activation::none &&
                        !epilogue.column_scale.defined() && !epilogue.residual.defined();
  const auto is_transposed = [&](Dtype dtype) {
    return product.batch == 1 && a_transposed && !b_transposed && is_plain &&
           has_transposed_product(dtype, product.m, product.n, product.k);
  };
  if (product.k == 0) {
    fill_with_epilogue(out, epilogue);
  } else if (out.dtype() == Dtype::f64) {
    run_eigen(product, a, b, out, epilogue);
  } else if (is_packed(a.dtype())) {
    run_packed(product, a, b, out, epilogue, frozen_b);
  } else if (is_transposed(a.dtype())) {
    transposed_product(a, b, product.m, product.n, product.k, out);
  } else if (!onednn_product(product, a, b, out, epilogue, frozen_b)) {
    // A processor without bf16 products: they are taken in f32.
    const Tensor wide = Tensor::empty(out.shape(), Dtype::f32), wide_a = a.to(Dtype::f32);
    const Epilogue then = convert(epilogue, Dtype::f32);
    if (is_packed(Dtype::f32)) {
      run_packed(product, wide_a, b, wide, then, frozen_b);
    } else if (is_transposed(Dtype::f32)) {
      transposed_product(wide_a, b.to(Dtype::f32), product.m, product.n, product.k, wide);
    } else {
      const bool done = onednn_product(product, wide_a, b.to(Dtype::f32), wide, then, false);
      check(done, "matmul: oneDNN has no kernel for {} x {} here", a.shape(), b.shape());
    }
    out.copy_from(wide);
  }
}

}  // namespace nabla::cpu
