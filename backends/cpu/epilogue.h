// The epilogue of a product as a loop of its own, where it could not be fused into the product's store.
#pragma once

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla {

template <class T>
const T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

// The epilogue of `product` (rows, N), null for zeros; everything is of T.
template <class T>
void finish_product(const T* product, int64_t rows, int64_t columns, const Epilogue& epilogue, T* out) {
  const T* bias = data_or_null<T>(epilogue.bias);
  const T* scale = data_or_null<T>(epilogue.column_scale);
  const T* residual = data_or_null<T>(epilogue.residual);
  const bool gelu = epilogue.activation == Epilogue::Activation::gelu;
  parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t i = row * columns + j;
        T value = product ? product[i] : T(0);
        if (bias) value += bias[j];
        if (gelu) value *= vnormal(value).cdf;
        if (scale) value *= scale[j];
        if (residual) value += residual[i];
        out[i] = value;
      }
    }
  });
}

inline Epilogue convert(const Epilogue& epilogue, Dtype dtype) {
  const auto converted = [&](const Tensor& tensor) { return tensor.defined() ? tensor.to(dtype) : tensor; };
  return {converted(epilogue.bias), epilogue.activation, converted(epilogue.column_scale),
          converted(epilogue.residual)};
}

// out = the epilogue of the sum of products (parts, out's elements) f32, added in order, in place.
inline void add_parts(const Tensor& products, const Epilogue& epilogue, const Tensor& out) {
  const int64_t size = out.numel(), columns = out.size(-1);
  float* sums = products.data<float>();
  parallel_for(size, parallel_grain, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < products.size(0); ++part) {
      const float* more = sums + part * size;
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) sums[i] += more[i];
    }
  });
  const Tensor wide = out.dtype() == Dtype::f32 ? out : Tensor::empty(out.shape(), Dtype::f32);
  finish_product<float>(sums, size / columns, columns, convert(epilogue, Dtype::f32), wide.data<float>());
  if (out.dtype() != Dtype::f32) out.copy_from(wide);
}

}  // namespace nabla
