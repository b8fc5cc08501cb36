// The emulator itself: checks that it finds the faults it should find.
#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <functional>
#include <set>
#include <vector>

#include "tests/backends/cuda_emulator/block.h"

namespace {

using emulator::Fault;

struct Gpu {
  cudaStream_t stream = nullptr;
  Gpu() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }

  template <class... Parameters, class... Arguments>
  void run(unsigned blocks, unsigned threads, void (*kernel)(Parameters...), Arguments... arguments) {
    cudaLaunchConfig_t config;
    config.gridDim = {blocks, 1, 1};
    config.blockDim = {threads, 1, 1};
    config.dynamicSmemBytes = 256;
    config.stream = stream;
    REQUIRE(cudaLaunchKernelEx(&config, kernel, arguments...) == cudaSuccess);
    cudaStreamSynchronize(stream);
  }
};

// A block of the GPU's memory, and what the host sees of it.
struct Memory {
  Gpu& gpu;
  float* data = nullptr;
  size_t count;
  Memory(Gpu& gpu, size_t count) : gpu(gpu), count(count) {
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&data), count * sizeof(float)) == cudaSuccess);
  }
  ~Memory() { cudaFree(data); }
  std::vector<float> values() {
    std::vector<float> host(count);
    cudaMemcpyAsync(host.data(), data, count * sizeof(float), cudaMemcpyDeviceToHost, gpu.stream);
    cudaStreamSynchronize(gpu.stream);
    return host;
  }
};

__global__ void reverse_kernel(float* out, bool with_barrier) {
  float* shared = emulator::dynamic_shared();
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (with_barrier) __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}
__global__ void divergent_kernel(unsigned last) {
  if (threadIdx.x < last) __syncthreads();
}
__global__ void two_places_kernel() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void half_warp_kernel() {
  if (threadIdx.x < 16) __syncwarp();
}
__global__ void sum_kernel(float* out) {
  float value = static_cast<float>(threadIdx.x);
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
  out[threadIdx.x] = value;
}
__global__ void write_kernel(float* out, int at, float value) { out[at] = value; }
__global__ void order_kernel(float* out, float* next) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = (*next)++;
}
__global__ void add_kernel(float* place) { *place += 1; }
__global__ void write_shared_kernel(int at) { emulator::dynamic_shared()[at] = 1; }

}  // namespace

TEST_CASE("emulated CUDA: barriers and shuffles do what they are for") {
  Gpu gpu;
  Memory out(gpu, 4 * 64);
  gpu.run(4, 64, reverse_kernel, out.data, true);
  for (size_t i = 0; i < out.count; ++i) CHECK(out.values()[i] == static_cast<float>(63 - i % 64));
  gpu.run(1, 64, sum_kernel, out.data);
  for (size_t i = 0; i < 64; ++i) CHECK(out.values()[i] == (i < 32 ? 31 * 16 : 31 * 16 + 32 * 32));
}

TEST_CASE(
    "emulated CUDA: without its barrier a kernel reads values not yet written, whichever way threads run") {
  Gpu gpu;
  Memory out(gpu, 2 * 64);
  gpu.run(2, 64, reverse_kernel, out.data, false);
  const std::vector<float> values = out.values();
  int unset[2] = {0, 0};
  for (size_t i = 0; i < values.size(); ++i) unset[i / 64] += values[i] != values[i];
  CHECK(unset[0] == 32);
  CHECK(unset[1] == 32);
}

TEST_CASE("emulated CUDA: threads run in ascending, in descending and in random orders") {
  MESSAGE("DINOMALY_EMULATED_SEED=", emulator::seed_of_orders());
  Gpu gpu;
  constexpr unsigned blocks = 30, threads = 256;
  Memory out(gpu, blocks * threads), next(gpu, 1);
  gpu.run(1, 1, write_kernel, next.data, 0, 0.0f);
  gpu.run(blocks, threads, order_kernel, out.data, next.data);
  const std::vector<float> values = out.values();
  std::set<std::vector<float>> orders;
  for (unsigned block = 0; block < blocks; ++block) {
    std::vector<float> order(values.begin() + block * threads, values.begin() + (block + 1) * threads);
    for (float& turn : order) turn -= static_cast<float>(block * threads);
    for (unsigned i = 0; i < threads; i += 32) CHECK(std::abs(order[i] - order[i + 31]) == 31);
    orders.insert(order);
  }
  CHECK(orders.size() > 8);  // two, and of ten random ones nearly all
}

TEST_CASE("emulated CUDA: barriers that some threads do not reach are faults") {
  Gpu gpu;
  gpu.run(1, 64, divergent_kernel, 64u);
  CHECK_THROWS_AS(gpu.run(1, 64, divergent_kernel, 63u), Fault);
  CHECK_THROWS_AS(gpu.run(1, 64, two_places_kernel), Fault);
  CHECK_THROWS_AS(gpu.run(1, 32, half_warp_kernel), Fault);
  gpu.run(1, 64, divergent_kernel, 64u);  // and life goes on
}

TEST_CASE("emulated CUDA: memory is unset, and writing beside it is a fault") {
  Gpu gpu;
  Memory memory(gpu, 5);
  for (float value : memory.values()) CHECK(value != value);
  gpu.run(1, 1, write_kernel, memory.data, 4, 1.0f);
  CHECK(memory.values()[4] == 1);
  const float guard = std::bit_cast<float>(0xfafafafau);
  for (int beside : {-1, 5}) {
    CHECK_THROWS_AS(gpu.run(1, 1, write_kernel, memory.data, beside, 1.0f), Fault);
    CHECK_THROWS_AS(gpu.run(1, 1, write_kernel, memory.data, 0, 1.0f), Fault);  // the damage stays
    gpu.run(1, 1, write_kernel, memory.data, beside, guard);
  }
  gpu.run(1, 1, write_shared_kernel, 63);
  CHECK_THROWS_AS(gpu.run(1, 1, write_shared_kernel, 64), Fault);
}

TEST_CASE("emulated CUDA: work runs when the host waits, and the host cannot touch the memory") {
  Gpu gpu;
  Memory memory(gpu, 4);
  gpu.run(1, 1, write_kernel, memory.data, 0, 5.0f);
  float host = 0;
  cudaMemcpyAsync(&host, memory.data, sizeof host, cudaMemcpyDeviceToHost, gpu.stream);
  CHECK(host == 0);
  cudaStreamSynchronize(gpu.stream);
  CHECK(host == 5);
  // A length that leaves the block, and a direction that is not the memory's.
  CHECK(cudaMemcpyAsync(&host, memory.data, 5 * sizeof host, cudaMemcpyDeviceToHost, gpu.stream) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(memory.data, &host, sizeof host, cudaMemcpyDeviceToDevice, gpu.stream) ==
        cudaErrorInvalidValue);
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    _exit(*static_cast<volatile float*>(memory.data) == 5 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
}

TEST_CASE("emulated CUDA: a graph does its work at every launch; what cannot be captured spoils it") {
  Gpu gpu;
  Memory memory(gpu, 1);
  const auto capture = [&](const auto& body, cudaGraph_t* graph) {
    cudaStreamBeginCapture(gpu.stream, cudaStreamCaptureModeRelaxed);
    body();
    return cudaStreamEndCapture(gpu.stream, graph);
  };
  const auto add_one = [&] {
    cudaLaunchConfig_t config;
    config.stream = gpu.stream;
    cudaLaunchKernelEx(&config, add_kernel, memory.data);
  };
  cudaGraph_t graph = nullptr;
  REQUIRE(capture(add_one, &graph) == cudaSuccess);
  cudaGraphExec_t program = nullptr;
  cudaGraphInstantiate(&program, graph, 0);
  cudaGraphDestroy(graph);
  gpu.run(1, 1, write_kernel, memory.data, 0, 0.0f);
  for (int i = 0; i < 3; ++i) cudaGraphLaunch(program, gpu.stream);
  CHECK(memory.values()[0] == 3);  // and not 4: capturing does nothing
  cudaGraphExecDestroy(program);
  float host = 0;
  for (const std::function<cudaError_t()>& forbidden : std::vector<std::function<cudaError_t()>>{
           [&] { return cudaStreamSynchronize(gpu.stream); }, [&] { return cudaFree(memory.data); },
           [&] {
             return cudaMemcpyAsync(memory.data, &host, sizeof host, cudaMemcpyHostToDevice, gpu.stream);
           }}) {
    const auto body = [&] { CHECK(forbidden() == cudaErrorStreamCaptureUnsupported); };
    CHECK(capture(body, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
  }
}
