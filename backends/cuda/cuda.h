// Errors of the CUDA runtime, and messages for those that a user can fix.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "tensor/device.h"
#include "tensor/error.h"

namespace nabla {

// Throws Error "OP: CUDA: what the runtime says" unless `result` is success. After a fault of a kernel, which ends all work
// on the GPU, it is a DeviceFault, and also says how to find that kernel: OP is only where the fault was noticed.
void check_cuda(cudaError_t result, const char* op);

// Whether all work that stood before the event when it was recorded is done; also if it never was. A no is an answer: the runtime
// would keep it as an error, which the next kernel, CUB's above all, took for its own.
bool is_done(cudaEvent_t event);

// Whether the environment asks the runtime to wait for each kernel (CUDA_LAUNCH_BLOCKING=1).
bool launches_block();

// --- One line each: what is wrong with a device, and what to do.
std::string no_driver_text(Device device);
// Versions as the runtime counts them: 12040 is 12.4.
std::string old_driver_text(Device device, int driver, int needed);
std::string no_device_text(Device device, int count);
// `built_for`: the architectures this program holds code for, as CMake names them.
std::string no_kernel_image_text(Device device, const std::string& name, int major, int minor,
                                 const std::string& built_for);
// What to do when a GPU runs out of memory.
std::string memory_advice(Device device, size_t free_bytes, size_t total_bytes);

}  // namespace nabla
