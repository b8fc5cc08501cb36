// out = residual + column_scale * act(op(a) op(b) + bias).
//   op(a) (batch, M, K), op(b) (batch, K, N) -> out (batch, M, N)
// The product is cuBLASLt's, with the bias and a plain residual fused in; GELU (cuBLASLt's is the
// approximation by tanh, this project's the exact one) and column_scale follow in one kernel. What cuBLASLt refuses,
// above all odd addresses, is multiplied here.
#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/vector_math.h"

namespace nabla {

namespace {

MatmulProblem describe(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
                       const Tensor& out) {
  MatmulProblem p{out.size(0),  out.size(1),  out.size(2),    a.size(a_transposed ? 1 : 2),
                  a_transposed, b_transposed, a.size(0) == 1, b.size(0) == 1,
                  a.dtype(),    out.dtype()};
  if (p.b_shared && !p.a_transposed && a.size(0) == p.batch) {  // one tall product
    p.m *= p.batch;
    p.batch = 1;
  }
  return p;
}

Epilogue convert(const Epilogue& epilogue, Dtype dtype) {
  const auto converted = [&](const Tensor& tensor) { return tensor.defined() ? tensor.to(dtype) : tensor; };
  return {converted(epilogue.bias), epilogue.activation, converted(epilogue.column_scale),
          converted(epilogue.residual)};
}

const void* pointer(const Tensor& tensor) { return tensor.defined() ? tensor.raw_data() : nullptr; }

// To tune: a product of our own that does this before it stores, as an epilogue of CUTLASS does.
template <class T>
__global__ void epilogue_kernel(int64_t count, int64_t columns, const T* product, const T* bias, bool gelu,
                                const T* scale, const T* residual, T* out) {
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const int64_t column = i % columns;
    float value = static_cast<float>(product[i]);
    if (bias) value += static_cast<float>(bias[column]);
    if (gelu) value *= vnormal(value).cdf;
    if (scale) value *= static_cast<float>(scale[column]);
    if (residual) value += static_cast<float>(residual[i]);
    store(out[i], value);
  }
}

// One thread for each element, whose sum runs over k in its order. For what is rare: no tiles, no tensor cores.
template <class In, class Out>
__global__ void plain_product_kernel(MatmulProblem p, const In* a, const In* b, Out* out) {
  for (int64_t i = first_index(); i < p.batch * p.m * p.n; i += index_step()) {
    const int64_t column = i % p.n, row = i / p.n % p.m, batch = i / p.n / p.m;
    const In* x = a + (p.a_shared ? 0 : batch * p.m * p.k) + (p.a_transposed ? row : row * p.k);
    const In* y = b + (p.b_shared ? 0 : batch * p.k * p.n) + (p.b_transposed ? column * p.k : column);
    const int64_t x_step = p.a_transposed ? p.m : 1, y_step = p.b_transposed ? 1 : p.n;
    float sum = 0;
    for (int64_t j = 0; j < p.k; ++j)
      sum += static_cast<float>(x[j * x_step]) * static_cast<float>(y[j * y_step]);
    store(out[i], sum);
  }
}

void multiply_plainly(const MatmulProblem& problem, const Tensor& a, const Tensor& b, const Tensor& out,
                      cudaStream_t stream) {
  visit_computed("matmul", a.dtype(), [&]<class In>(In) {
    visit_computed("matmul", out.dtype(), [&]<class Out>(Out) {
      launch("matmul", stream, blocks_for(out.numel()), block_threads, 0, plain_product_kernel<In, Out>,
             problem, a.data<In>(), b.data<In>(), out.data<Out>());
    });
  });
}

}  // namespace

// `product` may be `out`.
void CudaKernels::add_epilogue(const Tensor& product, const Epilogue& epilogue, const Tensor& out) {
  visit_computed("matmul", out.dtype(), [&]<class T>(T) {
    const auto values = [](const Tensor& tensor) { return static_cast<const T*>(pointer(tensor)); };
    launch("matmul", stream_, blocks_for(out.numel()), block_threads, 0, epilogue_kernel<T>, out.numel(),
           out.size(2), values(product), values(epilogue.bias),
           epilogue.activation == Epilogue::Activation::gelu, values(epilogue.column_scale),
           values(epilogue.residual), out.data<T>());
  });
}

void CudaKernels::matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
                         const Tensor& out, const Epilogue& given, bool) {
  if (out.numel() == 0) return;
  check_input(a.dtype() != Dtype::f64 && out.dtype() != Dtype::f64,
              "matmul: f64 is computed on the CPU only; a GPU takes f32 or bf16");
  const MatmulProblem problem = describe(a, a_transposed, b, b_transposed, out);
  const Epilogue epilogue = convert(given, out.dtype());
  const bool fusible = epilogue.activation == Epilogue::Activation::none && !epilogue.column_scale.defined();
  // With out wider than the operands cuBLASLt fuses nothing on some architectures: ours does it everywhere.
  const bool fused = fusible && problem.k > 0 && a.dtype() == out.dtype() &&
                     products_.run(problem,
                                   {a.raw_data(), b.raw_data(), pointer(epilogue.bias),
                                    pointer(epilogue.residual), out.raw_data()},
                                   device());
  if (fused) return;
  // The residual may be out itself; then the product is kept elsewhere until the epilogue.
  const bool in_place = epilogue.residual.defined() && epilogue.residual.raw_data() == out.raw_data();
  const Tensor product = in_place ? Tensor::empty_like(out) : out;
  if (problem.k == 0)
    fill(product, 0);
  else if (!products_.run(problem, {a.raw_data(), b.raw_data(), nullptr, nullptr, product.raw_data()},
                          device()))
    multiply_plainly(problem, a, b, product, stream_);
  const bool more = !fusible || epilogue.bias.defined() || epilogue.residual.defined();
  if (more) add_epilogue(product, epilogue, out);
}

}  // namespace nabla
