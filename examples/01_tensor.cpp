// 01: what a tensor is: a block of memory, and a shape and strides that say how to read it.
//
//   build/bin/01_tensor
//
// Expected output:
//   x                    (2, 3)    strides (3, 1)  contiguous  0 1 2 3 4 5
//   x.transpose(0, 1)    (3, 2)    strides (1, 3)  a view      0 3 1 4 2 5
//   x.slice(1, 0, 3, 2)  (2, 2)    strides (3, 2)  a view      0 2 3 5
//   x.select(0, 1)       (3)       strides (1)     contiguous  3 4 5
//   row.expand({2, 3})   (2, 3)    strides (0, 1)  a view      10 20 30 10 20 30
//   All five share two blocks of memory: writing 9 into the transpose makes x 9 1 2 3 4 5.
//
//   (2, 1) + (1, 3) = (2, 3): 10 20 30 11 21 31
//   (2, 3) + (2, 4) throws: add: shapes (2, 3) and (2, 4) do not broadcast
//
//   1/3 in f64  takes 8 bytes and is off by less than 1e-16
//   1/3 in f32  takes 4 bytes and is off by less than 1e-08
//   1/3 in bf16 takes 2 bytes and is off by less than 0.001
//
//   A tensor of 1 MiB: 1048576 bytes live. Gone again: 0 live, kept for the next one: yes.
//   The next one: 1048576 bytes live, asked the system for memory: no.
#include <fmt/format.h>

#include <cmath>

#include "tensor/backend.h"
#include "tensor/ops.h"

using namespace nabla;

static std::string elements(const Tensor& x) {
  return fmt::format("{}", fmt::join(x.to_vector<double>(), " "));
}

static void show(const char* expression, const Tensor& x) {
  fmt::print("{:<20} {:<9} strides {:<7} {:<11} {}\n", expression, x.shape(), x.strides(),
             x.is_contiguous() ? "contiguous" : "a view", elements(x));
}

static void views() {
  const Tensor x = Tensor::arange(6, Dtype::f32).reshape({2, 3});
  const Tensor row = Tensor::from<float>({10, 20, 30}, {3});
  show("x", x);
  show("x.transpose(0, 1)", x.transpose(0, 1));  // element (i, j) lies at 1 i + 3 j: nothing moved
  show("x.slice(1, 0, 3, 2)", x.slice(1, 0, 3, 2));
  show("x.select(0, 1)", x.select(0, 1));
  show("row.expand({2, 3})", row.expand({2, 3}));  // stride 0: the same row repeated
  x.transpose(0, 1).slice(0, 0, 1).slice(1, 0, 1).fill(9);
  fmt::print("All five share two blocks of memory: writing 9 into the transpose makes x {}.\n\n",
             elements(x));
}

// Sizes are aligned at the last axis; a size of 1 is repeated (with stride 0) to fit the other one.
static void broadcasting() {
  const Tensor column = Tensor::from<float>({0, 1}, {2, 1});
  const Tensor row = Tensor::from<float>({10, 20, 30}, {1, 3});
  const Tensor sum = column + row;
  fmt::print("{} + {} = {}: {}\n", column.shape(), row.shape(), sum.shape(), elements(sum));
  try {
    Tensor::ones({2, 3}) + Tensor::ones({2, 4});
  } catch (const Error& error) {
    fmt::print("(2, 3) + (2, 4) throws: {}\n\n", error.what());
  }
}

static void dtypes() {
  for (const auto& [dtype, bound] : {std::pair{Dtype::f64, 1e-16}, {Dtype::f32, 1e-8}, {Dtype::bf16, 1e-3}}) {
    const Tensor third = Tensor::full({}, 1.0 / 3, dtype);
    const double error = std::abs(third.item() - 1.0 / 3);
    fmt::print("1/3 in {:<4} takes {} bytes and is off by {} than {}\n", dtype, third.bytes(),
               error < bound ? "less" : "more", bound);
  }
}

// Freed blocks are kept and reused: after its first step a training loop requests no memory from the system.
static void memory() {
  const CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const MemoryCounters before = allocator.counters();
  const auto live = [&] { return allocator.counters().live_bytes - before.live_bytes; };
  Tensor x = Tensor::empty({1024, 256});
  fmt::print("\nA tensor of 1 MiB: {} bytes live. ", live());
  x = {};
  const MemoryCounters freed = allocator.counters();
  fmt::print("Gone again: {} live, kept for the next one: {}.\n", live(),
             freed.cached_bytes > before.cached_bytes ? "yes" : "no");
  x = Tensor::empty({1024, 256});
  fmt::print("The next one: {} bytes live, asked the system for memory: {}.\n", live(),
             allocator.counters().system_calls > freed.system_calls ? "yes" : "no");
}

int main() {
  views();
  broadcasting();
  dtypes();
  memory();
}
