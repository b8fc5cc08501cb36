// A backend around another one that tells the profiler what each call cost.
#pragma once

#include "tensor/kernels.h"

namespace nabla {

// The decorator of `kernels`, made at the first call and never destroyed. `kernels` must live as long.
Kernels& profiled(Kernels& kernels);

}  // namespace nabla
