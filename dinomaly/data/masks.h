// The masks of a data set, and a check that all its files can be read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/image/region_of_interest.h"
#include "tensor/tensor.h"

namespace dinomaly {

// What of an anomalous sample is defective, 255 there and else 0: all of its masks together, of its strip alone.
// `width` and `height` are those of the sample's picture. Throws InputError as load_mask() does.
Image load_sample_mask_image(const Sample& sample, int64_t width, int64_t height);
// The same, all black where the sample has no mask.
Image mask_or_black(const Sample& sample, int64_t width, int64_t height);

// Whether the sample's defects all lie outside of the region of interest, in which it is then neither good nor anomalous; no
// where there is no region, or no mask to tell. `mask`: mask_or_black() of the sample; without it, it is read if it decides.
bool shows_defect_elsewhere(const Sample& sample, const RegionOfInterest& roi, const Image& mask);
bool shows_defect_elsewhere(const Sample& sample, const RegionOfInterest& roi, int64_t width, int64_t height);

// The mask of a test sample as the maps see it, (map_size, map_size) u8 of 0 and 1; all 0 for a good one.
// `width` and `height` are the image's: a mask of another size throws InputError.
Tensor load_sample_mask(const Sample& sample, int64_t width, int64_t height, const ImageConfig& config,
                        int64_t map_size);

// Pairs of an RGB and an infrared image are both read as RGB: throws InputError naming `name` where the rules ask for
// other than three channels. The second does so for samples that are pairs.
void check_takes_pairs(const PixelRules& rules, const std::string& name);
void check_takes_pairs(const PixelRules& rules, const std::vector<Sample>& samples);

// How large the sample's picture is, as `rules` show it; of most only the file's header is read. Throws InputError as its
// readers.
ImageSize picture_size(const Sample& sample, const PixelRules& rules);

// Decodes every image and mask once, so that a damaged file, or one beyond `limits`, is reported before hours of
// training and not after them. Throws the InputError of the first that is, and as check_takes_pairs().
void verify_images(const std::vector<Sample>& samples, const PixelRules& rules = {},
                   const ReadLimits& limits = {});

// How many bits the images' samples of 16 bits use, where their files do not say so: 8, 10, 12, 14 or 16, the
// fewest that hold the largest value of all; 16 without such images. Cameras of 12 bits often write files of 16.
// `channels`: PixelRules::channels.
int64_t measured_bit_depth(const std::vector<Sample>& samples, int64_t channels = 3);

}  // namespace dinomaly
