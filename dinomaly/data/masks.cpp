#include "dinomaly/data/masks.h"

#include <exception>

#include "dinomaly/image/image.h"

namespace dinomaly {

Image load_mask_of(const Sample& sample, int64_t width, int64_t height) {
  Image mask = load_mask(*sample.mask, width, height);
  if (sample.label_mask) {
    for (uint8_t& pixel : mask.pixels) pixel = pixel > 0 ? 255 : 0;
  }
  return mask;
}

Tensor load_sample_mask(const Sample& sample, int64_t width, int64_t height, const ImageConfig& config,
                        int64_t map_size) {
  if (!sample.mask) return Tensor::zeros({map_size, map_size}, Dtype::u8);
  return preprocess_mask(load_mask_of(sample, width, height), config, map_size);
}

void verify_images(const std::vector<Sample>& samples) {
  std::exception_ptr first_error;
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < samples.size(); ++i) {
    try {  // an exception must not leave the parallel region
      const Image image = load_image_rgb(samples[i].image);
      if (samples[i].mask) load_mask(*samples[i].mask, image.width, image.height);
    } catch (...) {
#pragma omp critical
      if (!first_error) first_error = std::current_exception();
    }
  }
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace dinomaly
