// What a step of pretraining sees: pairs of crops of random scenes, and what is known of their patches.
#pragma once

#include <cstdint>

#include "dinomaly/base/framework.h"
#include "dinomaly/pretraining/pretrain_options.h"
#include "dinomaly/pretraining/scene.h"
#include "tensor/tensor.h"

namespace dinomaly {

// N pairs of crops with P patches each: first all first crops, then all second ones.
struct CropPairs {
  Tensor crops;  // (2N, 3, crop, crop) f32, normalised as ImageNet's
  // (N * P) i64: of each patch of the first crops the one of all second crops that shows the same point, or
  // ignored_label; and the reverse.
  Tensor first_to_second, second_to_first;
  Tensor hidden;    // (2N, P) u8: 1 where the student is not shown the patch
  Tensor families;  // (2N * P) i64: of the texture in each patch's centre (texture.h)
};

// Those of a step, which depend on the options and the step's number alone. The pool holds the step's scenes.
CropPairs make_crop_pairs(const PretrainOptions& options, const ScenePool& pool, int64_t step);

}  // namespace dinomaly
