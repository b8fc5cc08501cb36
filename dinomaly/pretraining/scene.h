// One random scene as a picture: textures, shapes in front of them, light and shadow. Crops of it (views.h) show
// the same points.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/random.h"

namespace dinomaly {

struct RenderedScene {
  Image rgb;  // size x size, 3 channels
  // Of each pixel the family of its texture (texture.h), size x size: for the comparison with training by labels.
  std::vector<uint8_t> families;
};

// The scene that belongs to `seed`, and to nothing else.
RenderedScene draw_scene(int64_t size, uint64_t seed);

// Some hundred scenes, of which the oldest are replaced as training goes on: drawing one takes longer than cropping
// it. Scene number n belongs to (seed, n) and lies in place n % count, so what a step sees depends on its number
// alone, on no thread and on no interruption.
class ScenePool {
 public:
  ScenePool(int64_t count, int64_t size, uint64_t seed)
      : size_(size), seed_(seed), scenes_(count), numbers_(count, -1) {}
  // Draws what is missing so that the last `count` of the scenes 0 .. newest are there.
  void advance_to(int64_t newest);
  const RenderedScene& at(int64_t place) const { return scenes_.at(static_cast<size_t>(place)); }
  int64_t count() const { return static_cast<int64_t>(scenes_.size()); }

 private:
  int64_t size_;
  uint64_t seed_;
  std::vector<RenderedScene> scenes_;
  std::vector<int64_t> numbers_;  // of the scene in each place; -1: none yet
};

}  // namespace dinomaly
