// Rows as int8, and out = residual + column_scale * act(a b^T + bias) with a quantised here and b before:
//   a (M, K), b i8 (N, K) with scales (N) -> out (M, N)
// Sums are of integers and exact.
#include "backends/common/convert.h"
#include "backends/common/quantize.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/vector_math.h"

namespace nabla {

namespace {

struct LargerOfTwo {
  __device__ int32_t operator()(int32_t a, int32_t b) const { return a > b ? a : b; }
};

// One block per row, which is multiplied by `factors` (n) where there are any.
template <class T>
__global__ void quantize_kernel(const T* in, const float* factors, int64_t n, int8_t* out, float* scales) {
  const T* x = in + blockIdx.x * n;
  const auto value = [=](int64_t i) { return static_cast<float>(x[i]) * (factors ? factors[i] : 1.0f); };
  int32_t largest = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    largest = LargerOfTwo{}(largest, magnitude_bits(value(i)));
  }
  const RowScale row = row_scale(block_reduce(largest, LargerOfTwo{}));
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    out[blockIdx.x * n + i] = static_cast<int8_t>(quantized(value(i), row.inverse));
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = row.scale;
}

// Bias and column scale are f32.
template <class T>
struct QuantizedEpilogue {
  const float *bias, *column_scale;
  bool gelu;
  const T* residual;
};

// One thread for each element of out. To tune: tiles in shared memory, and four products at a time by __dp4a or
// tensor cores.
template <class T>
__global__ void quantized_product_kernel(int64_t m, int64_t n, int64_t k, const int8_t* a,
                                         const float* a_scale, const int8_t* b, const float* b_scale,
                                         QuantizedEpilogue<T> then, T* out) {
  for (int64_t i = first_index(); i < m * n; i += index_step()) {
    const int64_t row = i / n, column = i % n;
    int32_t sum = 0;
    for (int64_t j = 0; j < k; ++j) sum += int32_t{a[row * k + j]} * int32_t{b[column * k + j]};
    float value = static_cast<float>(sum) * (a_scale[row] * b_scale[column]);
    if (then.bias) value += then.bias[column];
    if (then.gelu) value *= vnormal(value).cdf;
    if (then.column_scale) value *= then.column_scale[column];
    if (then.residual) value += static_cast<float>(then.residual[i]);
    store(out[i], value);
  }
}

void quantize_scaled(const Tensor& x, const Tensor& factors, const Tensor& quantized, const Tensor& scale,
                     cudaStream_t stream) {
  const float* const given = factors.defined() ? factors.data<float>() : nullptr;
  visit_computed("quantize_rows", x.dtype(), [&]<class T>(T) {
    launch("quantize_rows", stream, x.size(0), block_threads, 0, quantize_kernel<T>, x.data<T>(), given,
           x.size(1), quantized.data<int8_t>(), scale.data<float>());
  });
}

}  // namespace

void CudaKernels::quantize_rows(const Tensor& x, const Tensor& quantized, const Tensor& scale) {
  quantize_scaled(x, {}, quantized, scale, stream_);
}

void CudaKernels::quantized_matmul(const Tensor& a, const Tensor& input_scale, const Tensor& quantized_b,
                                   const Tensor& scale, const Tensor& out, const Epilogue& epilogue) {
  const Tensor q = Tensor::empty(a.shape(), Dtype::i8, device());
  const Tensor q_scale = Tensor::empty({a.size(0)}, Dtype::f32, device());
  quantize_scaled(a, input_scale, q, q_scale, stream_);
  const auto as = [](const Tensor& tensor, Dtype dtype) {
    return tensor.defined() ? tensor.to(dtype) : tensor;
  };
  const Tensor bias = as(epilogue.bias, Dtype::f32), column_scale = as(epilogue.column_scale, Dtype::f32);
  const Tensor residual = as(epilogue.residual, out.dtype());
  visit_computed("quantized_matmul", out.dtype(), [&]<class T>(T) {
    const QuantizedEpilogue<T> then{bias.defined() ? bias.data<float>() : nullptr,
                                    column_scale.defined() ? column_scale.data<float>() : nullptr,
                                    epilogue.activation == Epilogue::Activation::gelu,
                                    residual.defined() ? residual.data<T>() : nullptr};
    launch("quantized_matmul", stream_, blocks_for(out.numel()), block_threads, 0,
           quantized_product_kernel<T>, out.size(0), out.size(1), a.size(1), q.data<int8_t>(),
           q_scale.data<float>(), quantized_b.data<int8_t>(), scale.data<float>(), then, out.data<T>());
  });
}

}  // namespace nabla
