// Two crops of one scene by known transforms, and which of their patches show the same point of it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/pretraining/scene.h"
#include "dinomaly/synthetic/canvas.h"
#include "tensor/random.h"
#include "tensor/tensor.h"

namespace dinomaly {

// From a crop's pixels to a scene's: scene = matrix * crop + shift. The centre of pixel (x, y) is (x + 0.5, y + 0.5).
struct View {
  double xx = 1, xy = 0, yx = 0, yy = 1, x = 0, y = 0;
  Point to_scene(Point crop) const { return {xx * crop.x + xy * crop.y + x, yx * crop.x + yy * crop.y + y}; }
  Point to_crop(Point scene) const;
};

// Two crops of `crop` x `crop` pixels in a scene of `size` x `size`: a crop's pixel is 0.5 to 1.5 of the scene's, the
// second's 0.67 to 1.5 of the first's; turned up to 25 degrees, mirrored a quarter of the time each; their centres lie
// so close that about 40 % of each is in the other, or more. Throws Error where a crop of the largest scale does not fit.
std::pair<View, View> draw_views(int64_t size, int64_t crop, Generator& generator);

// The crop (3, crop, crop) f32 from 0 to 1, bilinear; outside of the scene its border goes on.
Tensor sample(const RenderedScene& scene, const View& view, int64_t crop);

constexpr int64_t no_match = -1;
// For each patch of `from`, row by row, the patch of `to` which contains the point that is its centre; no_match where
// `to` does not show it.
std::vector<int64_t> matching_patches(const View& from, const View& to, int64_t crop, int64_t patch);

}  // namespace dinomaly
