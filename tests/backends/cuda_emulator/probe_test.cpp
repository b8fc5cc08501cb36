// Races, coalescing and bank conflicts of the CUDA backend's kernels. In this program every kernel of every test is probed, and a
// race is a Fault.
#include "tests/backends/cuda_emulator/probe.h"

#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "autograd/ops/ops.h"
#include "dinomaly/training/trainer.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tests/backends/cuda/small_training.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

emulator::Probe& probe() {
  static emulator::Probe probe;
  return probe;
}
const bool observed = (emulator::observe(&probe()), true);

Variable input(const Shape& shape, double low = -1) {
  Generator generator(7);
  return Variable(Tensor::uniform(shape, low, 1, generator).to(Device::cuda()), true);
}

// The kernels with barriers of one file, forward and backward; more than one tile, or more than one sum.
void run_kernels_of(const std::string& file) {
  if (file == "attention.cu" || file == "linear_attention.cu") {
    const Variable q = input({1, 1, 40, 36}), k = input({1, 1, 40, 36}), v = input({1, 1, 40, 36});
    sum(file == "attention.cu" ? attention(q, k, v, 0.3) : linear_attention(q, k, v, 1e-6)).backward();
  } else {  // launch.cuh
    sum(layer_norm(input({2, 200}), input({200}), input({200}), 1e-6)).backward();
  }
  kernels_for(Device::cuda()).synchronize();
}

// "file:line" of every barrier in backends/cuda.
std::set<std::string> barriers_of_sources() {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(DINOMALY_SOURCE_DIR "/backends/cuda")) {
    std::ifstream file(entry.path());
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      const std::string code = line.substr(0, line.find("//"));
      if (contains(code, "__syncthreads()") || contains(code, "__syncwarp()"))
        found.insert(fmt::format("{}:{}", entry.path().filename().string(), number));
    }
  }
  return found;
}

using Pattern = void (*)(float*);

// Whether a kernel of two blocks of 64 threads that touch the GPU's memory as `pattern` says has a race.
bool has_race(Pattern pattern) {
  float* data = nullptr;
  REQUIRE(cudaMalloc(reinterpret_cast<void**>(&data), 1024) == cudaSuccess);
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaLaunchConfig_t config;
  config.gridDim = {2, 1, 1}, config.blockDim = {64, 1, 1}, config.stream = stream;
  REQUIRE(cudaLaunchKernelEx(&config, pattern, data) == cudaSuccess);
  bool raced = false;
  try {
    cudaStreamSynchronize(stream);
  } catch (const emulator::Fault&) {
    raced = true;
  }
  cudaFree(data);
  return raced;
}
void read(const float* place) { probe().access(place, 4, false, nullptr); }
void write(const float* place) { probe().access(place, 4, true, nullptr); }
// Elements of a block's own, by its threads' numbers; a neighbour in the warp, and one in the other warp.
float* own(float* data) { return data + 64 * blockIdx.x + threadIdx.x; }
float* neighbour(float* data) { return data + 64 * blockIdx.x + (threadIdx.x ^ 1); }
float* far(float* data) { return data + 64 * blockIdx.x + (threadIdx.x ^ 32); }

}  // namespace

TEST_CASE("probed CUDA: a block's barrier orders all of a block, a warp's the warp, a shuffle nothing") {
  CHECK_FALSE(has_race([](float* x) { read(own(x)), write(own(x)), read(own(x)); }));
  CHECK(has_race([](float* x) { write(own(x)), read(neighbour(x)); }));
  CHECK(has_race([](float* x) { read(neighbour(x)), write(own(x)); }));
  CHECK(has_race([](float* x) { write(x + 64 * blockIdx.x); }));
  CHECK(has_race([](float* x) { write(own(x)), __shfl_xor_sync(0xffffffffu, 1.0f, 1), read(neighbour(x)); }));
  CHECK_FALSE(has_race([](float* x) { write(own(x)), __syncwarp(), read(neighbour(x)); }));
  CHECK(has_race([](float* x) { write(own(x)), __syncwarp(), read(far(x)); }));
  CHECK_FALSE(has_race([](float* x) { write(own(x)), __syncthreads(), read(far(x)); }));
  // Of many readers the one is found that the writer does not wait for.
  CHECK(has_race(
      [](float* x) { read(x + 64 * blockIdx.x), threadIdx.x == 40 ? write(x + 64 * blockIdx.x) : void(); }));
  CHECK(has_race([](float* x) {
    read(x + 64 * blockIdx.x), __syncwarp();
    if (threadIdx.x == 40) write(x + 64 * blockIdx.x);
  }));
}

TEST_CASE("probed CUDA: nothing orders two blocks, and kernels follow each other") {
  CHECK_FALSE(has_race([](float* x) { read(x); }));
  CHECK(has_race([](float* x) {
    if (threadIdx.x == 0) write(x);
  }));
  CHECK(has_race([](float* x) {
    if (threadIdx.x == 0) blockIdx.x == 0 ? write(x) : read(x);
  }));
  CHECK(has_race([](float* x) {
    if (threadIdx.x == 0) blockIdx.x == 1 ? write(x) : read(x);
  }));
  CHECK(has_race([](float* x) {
    if (threadIdx.x == 0) read(x), blockIdx.x == 1 ? write(x) : void();
  }));
}

TEST_CASE("probed CUDA: without any one of its barriers the backend has a race") {
  const std::set<std::string> barriers = barriers_of_sources();
  CHECK(barriers.size() > 20);
  for (const std::string& barrier : barriers) {
    CAPTURE(barrier);
    const std::string file = barrier.substr(0, barrier.find(':'));
    probe().without = barrier;
    std::string said;
    try {
      run_kernels_of(file);
    } catch (const emulator::Fault& fault) {
      said = fault.what();
    }
    probe().without.clear();
    CHECK_MESSAGE(contains(said, "a race in shared memory"), said);
    run_kernels_of(file);  // with it there is none
  }
}

TEST_CASE("probed CUDA: no kernel of a training step has a race") {
  Training training(Dtype::f32, Device::cuda());
  Trainer trainer(*training.model, *training.features, false);
  for (int i = 0; i < 2; ++i) trainer.advance();
  CHECK(trainer.finished(true).size() == 2);
}

// Kernels of which a warp's accesses need more than the 4 sectors of 32 floats side by side: at most so many. None has bank
// conflicts.
const std::map<std::string, double> scattered = {
    {"arg_max_kernel", 32},             // a thread has a row
    {"conv2d_forward_kernel", 5},       // neighbours, but not from the beginning of a sector
    {"conv2d_weight_kernel", 32},       // patches, 8 floats apart
    {"copy_kernel", 32},                // a transposed tensor
    {"dropout_kernel", 16},             // a thread has the four words that Philox gives at once
    {"fill_kernel", 8},                 // eight bytes a thread, of i64
    {"gather_kernel", 32},              // by their order
    {"interpolate_weight_kernel", 32},  // a thread has a row of the matrix
    {"plain_product_kernel", 32},       // a thread has a column of the product, and a row of what makes it
    {"quantized_product_kernel", 32},   // the same
    {"reduce_rows_kernel", 5},          // rows that do not begin with a sector
    {"row_kernel", 8},                  // eight bytes a thread
    {"sort_key_kernel", 8},             // the same
};

// Each op, forward and backward, on tensors of `dtype`.
void run_ops(Dtype dtype) {
  const auto some = [dtype](const Shape& shape, double low = -1) {
    return Variable(input(shape, low).value().to(dtype), true);
  };
  const Shape heads{1, 2, 64, 64};
  sum(attention(some(heads), some(heads), some(heads), 0.3)).backward();
  sum(linear_attention(some(heads), some(heads), some(heads), 1e-6)).backward();
  sum(layer_norm(some({4, 256}), some({256}), some({256}), 1e-6)).backward();
  sum(softmax(some({4, 256}))).backward();
  sum(cross_entropy(some({4, 256}), Tensor::zeros({4}, Dtype::i64, Device::cuda()))).backward();
  sum(cosine_similarity(some({2, 256}), some({2, 256}))).backward();
  sum(cosine_similarity(some({2, 9000}), some({2, 9000}))).backward();
  sum(sum(gelu(mul(some({64, 64}), some({64, 64}))), {0})).backward();
  sum(cast(transpose(some({64, 64}), 0, 1), Dtype::bf16)).backward();
  Conv2dArgs patches;
  patches.stride_y = patches.stride_x = 8;
  sum(conv2d(some({1, 3, 64, 64}), some({64, 3, 8, 8}), some({64}), patches)).backward();
  sum(conv2d(some({1, 4, 16, 64}), some({4, 4, 3, 3}), some({4}), {})).backward();
  sum(interpolate(some({1, 4, 16, 16}), 64, 64, {})).backward();
  Generator generator(1);
  sum(dropout(some({64, 64}), 0.5, generator)).backward();
  const RopeTables tables{some({64, 32}).value(), some({64, 32}).value()};
  sum(rope(some(heads), tables)).backward();
  const Tensor x = some({64, 64}).value();
  argmax(x);
  sort(x, 1, true);
  sort(Tensor::zeros({2, 64}, Dtype::i64, Device::cuda()));
  topk(x, 3);
  kth_largest(x.reshape({64 * 64}), Tensor::from(std::vector<int64_t>{5}, {1}).to(Device::cuda()));
  quantized_linear(Variable(x), quantize_weight(some({64, 64}).value(), some({64}).value()));
  const Tensor odd = some({1 + 64 * 64}).value().slice(0, 1, 1 + 64 * 64).reshape({64, 64});
  matmul(Variable(odd), Variable(x));  // which cuBLASLt refuses
  const Variable weight = some({64, 64});
  StableAdamW optimizer({weight}, StableAdamWOptions{});
  sum(linear(Variable(x), weight, some({64}))).backward();
  const Variable scale(some({64}).value());  // its gradient would need the product by itself
  linear(Variable(x), weight, some({64}), {Variable(x), scale});
  optimizer.prepare(1e-3);
  optimizer.update(norm_and_clip_factor({weight}, 1).slice(0, 1, 2));
}

// The names of all kernels in backends/cuda.
std::set<std::string> kernels_of_sources() {
  std::set<std::string> found;
  const std::regex declared("__global__ void (\\w+)");
  for (const auto& entry : std::filesystem::directory_iterator(DINOMALY_SOURCE_DIR "/backends/cuda")) {
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (std::regex_search(line, match, declared)) found.insert(match[1]);
    }
  }
  return found;
}

TEST_CASE("probed CUDA: what each kernel's accesses cost a warp") {
  std::set<std::string> missing = kernels_of_sources();
  missing.erase("probe_kernel");  // is never run
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    probe().forget_traffic();
    probe().counts = true;
    run_ops(dtype);
    kernels_for(Device::cuda()).synchronize();
    probe().counts = false;
    for (const auto& [kernel, costs] : probe().traffic()) {
      INFO(kernel, " in ", name_of(dtype));
      missing.erase(kernel);
      const auto exception = scattered.find(kernel);
      CHECK(costs.sectors <= (exception == scattered.end() ? 4 : exception->second));
      CHECK(costs.passes <= 1);
    }
  }
  CHECK_MESSAGE(missing.empty(), fmt::format("not met: {}", fmt::join(missing, ", ")));
}

}  // namespace dinomaly
