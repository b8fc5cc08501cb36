// What training draws, where that is not simply one image after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// A draw is an image; or the RGB and the infrared image of an object; or one view of an object whose views are strips
// of one picture: which of them is drawn anew each time, from the seed and the number of the draw alone, so that a run
// that is resumed goes on alike.
class Draws {
 public:
  Draws(const std::vector<Sample>& samples, uint64_t seed);
  // How many things there are to draw from.
  int64_t count() const { return static_cast<int64_t>(choices_.size()); }
  // How many draws make a batch of so many images. Throws InputError for an odd number of images in pairs.
  int64_t in_batch(int64_t images) const;
  // The samples' indices for `drawn`, of which the first is draw number `first` of the run. Of pairs: all RGB
  // images, then all infrared ones.
  std::vector<int64_t> images(const std::vector<int64_t>& drawn, int64_t first) const;

 private:
  std::vector<std::vector<int64_t>> choices_;
  bool pairs_ = false;  // RGB first
  uint64_t seed_;
};

}  // namespace dinomaly
