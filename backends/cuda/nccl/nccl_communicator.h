// tensor/communicator.h by NCCL, for tensors on GPUs.
#pragma once

#include "tensor/communicator.h"

namespace nabla {

// Sends tensors on the GPU that prepare() names by NCCL, on a stream of its own, and everything else by `processes`, which
// introduces the GPUs to each other. The host waits for nothing: what a call sends is what the backend was asked to compute
// before it, and what the backend is asked for after it (after wait()) sees the result. One object, made at the first call.
Communicator& with_nccl(Communicator& processes);

}  // namespace nabla
