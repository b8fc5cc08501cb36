// Images varied at random for few-shot training, as the authors' Dinomaly2 does it on 8-bit pictures: a crop resized
// (torchvision's RandomResizedCrop), quarter turns, flips.
#pragma once

#include <cstdint>

#include "dinomaly/image/image.h"
#include "dinomaly/image/preprocess.h"
#include "tensor/random.h"

namespace dinomaly {

// One way to vary an image: a part of it is resized, turned counterclockwise, then mirrored.
struct Variation {
  int64_t top = 0, left = 0, height = 0, width = 0;
  int quarter_turns = 0;  // 0 to 3
  bool left_right = false, upside_down = false;
  bool operator==(const Variation&) const = default;
};

// Draws a variation of an image resized to resize_h x resize_w. The part has as many pixels as the crop; its width by
// its height is that of the crop times a factor whose logarithm is uniform within log(0.95) and log(1.05); it lies
// anywhere. Where ten draws do not fit, it is the largest one in the middle within these aspects. Quarter turns are
// uniform (0 and 2 alone where the crop is no square), each flip has probability 1/2. Draws at most
// `most_draws_per_variation` blocks of the generator.
Variation draw_variation(const ImageConfig& config, Generator& generator);
constexpr uint64_t most_draws_per_variation = 64;

// The image varied, crop_h x crop_w: the part resized as PIL does, pixels moved from then on.
Image varied(const Image& image, const Variation& variation, const ImageConfig& config);

}  // namespace dinomaly
