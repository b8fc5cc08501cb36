#include "dinomaly/data/masks.h"

#include <algorithm>
#include <exception>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

Tensor load_sample_mask(const Sample& sample, int64_t width, int64_t height, const ImageConfig& config,
                        int64_t map_size) {
  if (!sample.mask) return Tensor::zeros({map_size, map_size}, Dtype::u8);
  return preprocess_mask(load_mask(*sample.mask, width, height), config, map_size);
}

void verify_images(const std::vector<Sample>& samples, const PixelRules& rules) {
  std::vector<std::exception_ptr> errors(samples.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < samples.size(); ++i) {
    try {  // an exception must not leave the parallel region
      const Image image = load_image_rgb(samples[i].image, rules);
      if (samples[i].mask) load_mask(*samples[i].mask, image.width, image.height);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

int64_t measured_bit_depth(const std::vector<Sample>& samples) {
  std::vector<int64_t> largest(samples.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < samples.size(); ++i) {
    try {
      largest[i] = largest_deep_sample(samples[i].image);
    } catch (const InputError&) {  // whoever needs its pixels reports it
    }
  }
  const int64_t value = samples.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
  if (value == 0) return 16;
  int64_t depth = 8;
  while (depth < 16 && value >> depth != 0) depth += 2;
  return depth;
}

}  // namespace dinomaly
