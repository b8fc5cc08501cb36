// The profiler counts every call with its operations and bytes, and nothing when it has gone.
#include "tensor/profiler.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tensor/kernels.h"
#include "tensor/ops.h"

using namespace nabla;

namespace {
const KernelCost* find(const std::vector<KernelCost>& costs, const std::string& name) {
  for (const KernelCost& cost : costs) {
    if (cost.name == name) return &cost;
  }
  return nullptr;
}
}  // namespace

TEST_CASE("a matrix product is counted with 2 B M N K operations and each operand's bytes once") {
  const Tensor a = Tensor::ones({3, 5, 7}), b = Tensor::ones({3, 7, 11}), shared = Tensor::ones({11, 7});
  Profiler profiler;
  matmul(a, false, b, false, {});
  matmul(a, false, b, false, {});
  matmul(a, false, shared, true, {});
  const std::vector<KernelCost> costs = profiler.costs();
  REQUIRE(costs.size() == 1);
  CHECK(costs[0].name == "matmul");
  CHECK(costs[0].phase == Phase::forward);
  CHECK(costs[0].calls == 3);
  CHECK(costs[0].flops == 3 * 2.0 * 3 * 5 * 11 * 7);
  CHECK(costs[0].bytes == 4.0 * (3 * (3 * 5 * 7 + 3 * 5 * 11) + 2 * 3 * 7 * 11 + 7 * 11));
  CHECK(costs[0].seconds > 0);
}

TEST_CASE("operations of convolution and attention, forward and backward") {
  Kernels& direct = kernels_for(Device::cpu());
  Profiler profiler;
  Kernels& kernels = kernels_for(Device::cpu());
  CHECK(&kernels != &direct);
  CHECK(&kernels.allocator() == &direct.allocator());
  const Tensor x = Tensor::ones({2, 4, 6, 6}), weight = Tensor::ones({8, 2, 3, 3}),
               y = Tensor::empty({2, 8, 4, 4});
  Conv2dArgs args;
  args.groups = 2;
  kernels.conv2d(x, weight, {}, args, y);
  kernels.conv2d_backward_data(y, weight, args, Tensor::empty_like(x));
  kernels.conv2d_backward_weight(y, x, args, Tensor::empty_like(weight));
  const Tensor q = Tensor::ones({2, 3, 5, 8}), k = Tensor::ones({2, 3, 7, 8}),
               rows = Tensor::empty({2, 3, 5});
  const Tensor out = Tensor::empty_like(q);
  const auto like = [](const Tensor& tensor) { return Tensor::empty_like(tensor); };
  kernels.attention(q, k, k, 1.0, false, out, rows);
  kernels.attention_backward(q, q, k, k, out, rows, 1.0, like(q), like(k), like(k));
  kernels.linear_attention(q, q, q, 1e-6, out);
  kernels.linear_attention_backward(q, q, q, q, 1e-6, like(q), like(q), like(q));
  const std::vector<KernelCost> costs = profiler.costs();
  for (const char* name : {"conv2d", "conv2d_backward_data", "conv2d_backward_weight"}) {
    REQUIRE(find(costs, name) != nullptr);
    CHECK(find(costs, name)->flops == 2.0 * (2 * 8 * 4 * 4) * (2 * 3 * 3));
  }
  CHECK(find(costs, "conv2d")->bytes == 4.0 * (2 * 4 * 36 + 8 * 18 + 2 * 8 * 16));
  CHECK(find(costs, "attention")->flops == 4.0 * 2 * 3 * 5 * 7 * 8);
  CHECK(find(costs, "attention_backward")->flops == 10.0 * 2 * 3 * 5 * 7 * 8);
  CHECK(find(costs, "linear_attention")->flops == 4.0 * 2 * 3 * 5 * 8 * 8);
  CHECK(find(costs, "linear_attention_backward")->flops == 10.0 * 2 * 3 * 5 * 8 * 8);
}

TEST_CASE("elementwise kernels have bytes only, and a repeated axis is read once") {
  const Tensor a = Tensor::ones({16, 32}), row = Tensor::ones({32});
  Profiler profiler;
  const Tensor total = a + row;
  const KernelCost cost = profiler.costs().at(0);
  CHECK(cost.name == "binary");
  CHECK(cost.flops == 0);
  CHECK(cost.bytes == 4.0 * (16 * 32 + 32 + 16 * 32));
}

TEST_CASE("kernels' times sum to no more than the clock on the wall") {
  const Tensor a = Tensor::ones({128, 128});
  Profiler profiler;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) matmul(a.transpose(0, 1), false, a + a, false, {}).to(Dtype::f64);
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double sum = 0;
  for (const KernelCost& cost : profiler.costs()) sum += cost.seconds;
  CHECK(sum > 0);
  CHECK(sum <= wall);
}

TEST_CASE("nothing is recorded before or after, a new profiler starts empty, and only one runs at a time") {
  const Tensor a = Tensor::ones({4, 4});
  Kernels* kept = nullptr;
  {
    Profiler profiler;
    kept = &kernels_for(Device::cpu());
    CHECK_THROWS_AS(Profiler{}, Error);
    CHECK(Profiler::running());
    a + a;
    CHECK(profiler.costs().size() == 1);
  }
  CHECK_FALSE(Profiler::running());
  CHECK(&kernels_for(Device::cpu()) != kept);
  kept->fill(a, 3);  // the decorator of before still computes
  CHECK(a.to_vector<float>() == std::vector<float>(16, 3.0f));
  a + a;
  Profiler again;
  CHECK(again.costs().empty());
}

TEST_CASE("the table has a line for each kernel, the most expensive first") {
  Profiler profiler;
  Profiler::add("matmul", Phase::backward, 0.5, 2e9, 4e6);
  Profiler::add("unary", Phase::forward, 1.5, 0, 3e9);
  Profiler::add("matmul", Phase::backward, 0.5, 2e9, 4e6);
  const std::string expected =
      "kernel                      phase      calls         ms   share     GFLOP  GFLOP/s        MB    GB/s\n"
      "unary                       forward        1   1500.000   60.0%         -        -    3000.0     2.0\n"
      "matmul                      backward       2   1000.000   40.0%     4.000      4.0       8.0     0.0\n"
      "all kernels                                    2500.000\n";
  CHECK(profiler.table() == expected);
}
