#include "backends/cuda/cuda.h"

#include <cstdlib>
#include <string_view>

namespace nabla {

namespace {

// What a kernel or the hardware does wrong: every later call answers with it.
bool is_fault(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool launches_block() {
  const char* value = std::getenv("CUDA_LAUNCH_BLOCKING");
  return value != nullptr && std::string_view(value) == "1";
}

void check_cuda(cudaError_t result, const char* op) {
  if (result == cudaSuccess) return;
  std::string said =
      fmt::format("{}: CUDA: {} ({})", op, cudaGetErrorString(result), cudaGetErrorName(result));
  if (!is_fault(result)) throw Error(said);
  if (!launches_block())
    said += "; a GPU reports faults late, so the cause may be an earlier op: CUDA_LAUNCH_BLOCKING=1 names it";
  throw DeviceFault(said);
}

bool is_done(cudaEvent_t event) {
  const cudaError_t said = cudaEventQuery(event);
  if (said == cudaErrorNotReady) (void)cudaGetLastError();
  return said == cudaSuccess;
}

std::string no_driver_text(Device device) {
  return fmt::format(
      "device {}: no NVIDIA driver was found; install one (nvidia-smi then lists the GPU) or use "
      "--device cpu",
      device);
}

std::string old_driver_text(Device device, int driver, int needed) {
  return fmt::format(
      "device {}: the NVIDIA driver knows CUDA {}.{}, this program needs {}.{}; install a newer "
      "driver, build with an older toolkit, or use --device cpu",
      device, driver / 1000, driver % 1000 / 10, needed / 1000, needed % 1000 / 10);
}

std::string no_device_text(Device device, int count) {
  if (count == 0) {
    return fmt::format(
        "device {}: the driver shows no GPU; see what nvidia-smi and CUDA_VISIBLE_DEVICES say, or use "
        "--device cpu",
        device);
  }
  return fmt::format("device {}: this machine has {}, up to cuda:{}", device,
                     count == 1 ? std::string("one GPU") : fmt::format("{} GPUs", count), count - 1);
}

std::string no_kernel_image_text(Device device, const std::string& name, int major, int minor,
                                 const std::string& built_for) {
  return fmt::format(
      "device {}: {} has architecture {}{}, but this program holds code for {}; build with "
      "-DCMAKE_CUDA_ARCHITECTURES={}{} or use --device cpu",
      device, name, major, minor, built_for, major, minor);
}

std::string memory_advice(Device device, size_t free_bytes, size_t total_bytes) {
  constexpr double giga = 1e9;
  return fmt::format(
      "device {} has {:.2f} of {:.2f} GB free; a smaller --batch, smaller images or bf16 (half the bytes) "
      "need less",
      device, static_cast<double>(free_bytes) / giga, static_cast<double>(total_bytes) / giga);
}

}  // namespace nabla
