// The GPUs of this machine as backends.
#pragma once

#include "tensor/kernels.h"

namespace nabla {

// The backend of GPU `index`, made at the first call, never destroyed; also makes that GPU the calling
// thread's current one, so every thread must call kernels_for() itself. Throws InputError of one line where
// there is no driver, too old a one, no such GPU, or no code for its architecture.
Kernels& cuda_kernels(int index);
int cuda_device_count();

}  // namespace nabla
