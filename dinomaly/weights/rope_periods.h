// The periods of DINOv3's rotary positions, for files that hold none.
#pragma once

#include <cstdint>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

// 100^(4 j / d), j = 0 .. d/4 - 1, d = head_width: (d/4) f32, as timm and transformers compute them. The periods of
// Meta's own files went through bf16. Throws InputError unless 4 divides d.
Tensor rope_periods(int64_t head_width);

}  // namespace dinomaly
