// The host's part of the CUDA backend, as far as it needs no GPU.
#include <cublasLt.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "backends/cuda/cublaslt.h"
#include "backends/cuda/cuda.h"
#include "tests/support.h"

namespace nabla {

TEST_CASE("cuda: an error names the op and what the runtime says") {
  check_cuda(cudaSuccess, "softmax");
  CHECK_THROWS_WITH_AS(check_cuda(cudaErrorInvalidValue, "softmax"),
                       "softmax: CUDA: invalid argument (cudaErrorInvalidValue)", Error);
}

TEST_CASE("cuda: a kernel's fault, which is reported late, comes with the way to find the kernel") {
  const std::string what =
      "softmax: CUDA: an illegal memory access was encountered (cudaErrorIllegalAddress)";
  const char* const set = std::getenv("CUDA_LAUNCH_BLOCKING");
  const std::string before = set != nullptr ? set : "";
  unsetenv("CUDA_LAUNCH_BLOCKING");
  CHECK_THROWS_WITH_AS(check_cuda(cudaErrorIllegalAddress, "softmax"),
                       (what + "; a GPU reports faults late, so the cause may be an earlier op: "
                               "CUDA_LAUNCH_BLOCKING=1 names it")
                           .c_str(),
                       DeviceFault);
  setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
  CHECK_THROWS_WITH_AS(check_cuda(cudaErrorIllegalAddress, "softmax"), what.c_str(), DeviceFault);
  if (set != nullptr)
    setenv("CUDA_LAUNCH_BLOCKING", before.c_str(), 1);
  else
    unsetenv("CUDA_LAUNCH_BLOCKING");
}

TEST_CASE("cuda: what is wrong with a device is one line with what to do") {
  const Device device = Device::cuda(1);
  CHECK(one_line_with(no_driver_text(device), "device cuda:1: no NVIDIA driver"));
  CHECK(one_line_with(old_driver_text(device, 12020, 13000), "knows CUDA 12.2, this program needs 13.0"));
  CHECK(one_line_with(no_device_text(device, 0), "CUDA_VISIBLE_DEVICES"));
  CHECK(no_device_text(device, 1) == "device cuda:1: this machine has one GPU, up to cuda:0");
  CHECK(no_device_text(Device::cuda(4), 2) == "device cuda:4: this machine has 2 GPUs, up to cuda:1");
  CHECK(one_line_with(no_kernel_image_text(device, "Tesla T4", 7, 5, "80, 90"),
                      "Tesla T4 has architecture 75, but this program holds code for 80, 90; "
                      "build with -DCMAKE_CUDA_ARCHITECTURES=75"));
  CHECK(one_line_with(memory_advice(device, 500'000'000, 8'000'000'000), "0.50 of 8.00 GB free"));
}

TEST_CASE("cuda: the key of an algorithm covers everything that decides on it") {
  alignas(256) static char memory[2048];
  const auto at = [](size_t offset) { return static_cast<void*>(memory + offset); };
  const MatmulProblem p{2, 3, 4, 5, false, true, false, true, Dtype::bf16, Dtype::bf16};
  const MatmulPointers x{at(0), at(256), nullptr, nullptr, at(512)};
  std::set<std::vector<int64_t>> keys{algorithm_key(p, x)};
  const auto add = [&](const auto& change) {
    MatmulProblem problem = p;
    MatmulPointers pointers = x;
    change(problem, pointers);
    keys.insert(algorithm_key(problem, pointers));
  };
  add([](auto& problem, auto&) { problem.batch = 1; });
  add([](auto& problem, auto&) { problem.m = 4, problem.n = 3; });
  add([](auto& problem, auto&) { problem.k = 6; });
  add([](auto& problem, auto&) { problem.a_transposed = true; });
  add([](auto& problem, auto&) { problem.b_transposed = false; });
  add([](auto& problem, auto&) { problem.a_shared = true; });
  add([](auto& problem, auto&) { problem.b_shared = false; });
  add([](auto& problem, auto&) { problem.out = Dtype::f32; });
  add([&](auto&, auto& pointers) { pointers.bias = at(1024); });
  add([&](auto&, auto& pointers) { pointers.addend = at(1280); });
  add([&](auto&, auto& pointers) { pointers.addend = pointers.out; });
  add([&](auto&, auto& pointers) { pointers.a = at(16); });
  CHECK(keys.size() == 13);
  // The same alignment elsewhere is the same problem.
  add([&](auto&, auto& pointers) { pointers.a = at(1536); });
  CHECK(keys.size() == 13);
}

TEST_CASE("cuda: cuBLASLt answers once it is called, even without a GPU") {
  CHECK(cublasLtGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED) !=
        cublasLtGetStatusString(CUBLAS_STATUS_SUCCESS));
  cublasLtMatrixLayout_t layout = nullptr;
  REQUIRE(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 2, 3, 2) == CUBLAS_STATUS_SUCCESS);
  const int32_t count = 5;
  CHECK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(cublasLtMatrixLayoutDestroy(layout) == CUBLAS_STATUS_SUCCESS);
}

}  // namespace nabla
