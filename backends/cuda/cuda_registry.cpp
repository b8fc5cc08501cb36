#include "backends/cuda/cuda_registry.h"

#include <map>
#include <memory>
#include <mutex>

#include "backends/cuda/cuda.h"
#include "backends/cuda/cuda_kernels.h"

namespace nabla {

namespace {

// Throws unless the GPU can be used; leaves it the current one.
void open_device(int index) {
  const Device device = Device::cuda(index);
  int driver = 0, runtime = 0, count = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "cuda");
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) fail_input("{}", no_driver_text(device));
  const cudaError_t counted = cudaGetDeviceCount(&count);
  // Within a major version a toolkit runs on every driver of that version.
  if (counted == cudaErrorInsufficientDriver || driver < runtime / 1000 * 1000)
    fail_input("{}", old_driver_text(device, driver, runtime / 1000 * 1000));
  if (counted == cudaErrorNoDevice) count = 0;
  check_input(counted == cudaSuccess || counted == cudaErrorNoDevice, "device {}: CUDA: {}", device,
              cudaGetErrorString(counted));
  check_input(index < count, "{}", no_device_text(device, count));
  const cudaError_t set = cudaSetDevice(index);
  check_input(set == cudaSuccess, "device {}: CUDA: {}", device, cudaGetErrorString(set));
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, index), "cuda");
  if (!has_code_for_current_device()) {
    fail_input("{}", no_kernel_image_text(device, properties.name, properties.major, properties.minor,
                                          DINOMALY_CUDA_ARCHITECTURES));
  }
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

Kernels& cuda_kernels(int index) {
  static std::mutex& mutex = *new std::mutex;
  // Never destroyed: tensors in static variables may free their memory after main() has ended.
  static auto& backends = *new std::map<int, std::unique_ptr<CudaKernels>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<CudaKernels>& backend = backends[index];
  if (backend == nullptr) {
    open_device(index);
    backend = std::make_unique<CudaKernels>(index);
  } else {
    // A GPU that has failed may not say which it is: the op's own next call then reports that by the op's name.
    int current = index;
    if (cudaGetDevice(&current) == cudaSuccess && current != index) check_cuda(cudaSetDevice(index), "cuda");
  }
  return *backend;
}

}  // namespace nabla
