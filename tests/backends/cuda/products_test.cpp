// Products by cuBLASLt, and what it refuses.
#include <doctest/doctest.h>

#include <vector>

#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tests/support.h"

namespace nabla {
namespace {

// `count` values that begin `offset` elements behind an aligned address.
Tensor unaligned(const std::vector<float>& values, int64_t offset, Dtype dtype) {
  const auto count = static_cast<int64_t>(values.size());
  Tensor room = Tensor::zeros({count + offset}, dtype, Device::cuda());
  Tensor part = room.slice(0, offset, offset + count);
  part.copy_from(Tensor::from(values, {count}));
  return part;
}

std::vector<float> some_values(int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i * 7 % 11 - 5));
  return values;
}

Epilogue with_bias(const Tensor& bias) {
  Epilogue epilogue;
  epilogue.bias = bias;
  return epilogue;
}

}  // namespace

TEST_CASE("matmul on CUDA adds the parts of a long sum in f32, not in bf16") {
  if (!has_cuda("a long sum of bf16")) return;
  // Four parts of 512, 1, 1 and 1: their sum is 515, and the nearest bf16 516. In bf16 512 + 1 is 512 again.
  std::vector<float> row(256, 0);
  for (size_t i = 0; i < 64; ++i) row[i] = 8;
  row[64] = row[128] = row[192] = 1;
  const Tensor a = Tensor::from(row, {1, 1, 256}).to(Dtype::bf16).to(Device::cuda());
  const Tensor b = Tensor::ones({1, 256, 8}, Dtype::bf16, Device::cuda());
  const Tensor out = Tensor::empty({1, 1, 8}, Dtype::bf16, Device::cuda());
  kernels_for(out).matmul(a, false, b, false, out);
  CHECK(out.to_vector<float>() == std::vector<float>(8, 516));
}

TEST_CASE("matmul on CUDA takes a bias and operands at any address") {
  if (!has_cuda("matmul at odd addresses")) return;
  constexpr int64_t m = 3, n = 5, k = 7;
  const Device cuda = Device::cuda();
  const Tensor a = Tensor::from(some_values(2 * m * k), {2, m, k}),
               b = Tensor::from(some_values(k * n), {1, k, n});
  const Tensor bias = Tensor::from(some_values(n), {n});
  const Tensor expected = Tensor::empty({2, m, n});
  kernels_for(expected).matmul(a, false, b, false, expected, with_bias(bias));
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const int64_t of_a : {0, 1, 3}) {
      for (const int64_t of_b : {0, 1}) {
        for (const int64_t of_bias : {0, 1}) {
          for (const bool transposed : {false, true}) {
            INFO(name_of(dtype), " at ", of_a, ", ", of_b, " and ", of_bias,
                 transposed ? ", transposed" : "");
            const Tensor b_stored = transposed ? b.transpose(1, 2).contiguous() : b;
            const Tensor out = Tensor::empty({2, m, n}, dtype, cuda);
            kernels_for(out).matmul(
                unaligned(a.to_vector<float>(), of_a, dtype).reshape({2, m, k}), false,
                unaligned(b_stored.to_vector<float>(), of_b, dtype).reshape(b_stored.shape()), transposed,
                out, with_bias(unaligned(bias.to_vector<float>(), of_bias, dtype)));
            // Small integers: exact in f32, and in bf16 rounded once.
            CHECK(out.to_vector<float>() == expected.to(dtype).to_vector<float>());
          }
        }
      }
    }
  }
}

}  // namespace nabla
