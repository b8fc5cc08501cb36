#include "dinomaly/report/shown_sample.h"

#include "dinomaly/data/masks.h"
#include "dinomaly/image/picture.h"

namespace dinomaly {

ShownSample load_shown_sample(const Sample& sample, const ImageConfig& config) {
  const Image whole = colours_of(load_picture(picture_of(sample), config.pixels));
  ShownSample shown{resize_and_crop(whole, config), {}};
  if (sample.mask)
    shown.mask = resize_and_crop(load_sample_mask_image(sample, whole.width, whole.height), config);
  return shown;
}

}  // namespace dinomaly
