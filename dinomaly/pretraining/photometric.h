// What differs between two photographs of one scene, on tensors: light, colour, focus and noise.
#pragma once

#include <array>
#include <cstdint>

#include "dinomaly/base/framework.h"
#include "tensor/random.h"
#include "tensor/tensor.h"

namespace dinomaly {

struct PhotometricChange {
  double brightness = 0;                // added
  double contrast = 1;                  // factor of the distance to the image's mean
  double gamma = 1;                     // exponent, of values limited to 0 to 1
  double saturation = 1;                // factor of the distance to the pixel's grey; 0: grey
  std::array<double, 3> gain{1, 1, 1};  // of each channel
  double blur = 0;                      // standard deviation of a Gaussian, pixels
  double noise = 0;                     // standard deviation
  uint64_t noise_seed = 0;
};

PhotometricChange draw_photometric_change(Generator& generator);

// The functions below change `image` (3, H, W), f32 on the CPU and contiguous, values from 0 to 1, in place. Throw
// Error for anything else.
void change_contrast(const Tensor& image, double brightness, double contrast);
void change_gamma(const Tensor& image, double gamma);
void change_colours(const Tensor& image, double saturation, const std::array<double, 3>& gain);
void blur(const Tensor& image, double deviation);  // at the border the nearest pixel counts on
void add_noise(const Tensor& image, double deviation, uint64_t seed);

// All of them in this order, then limits values to 0 to 1.
void apply(const PhotometricChange& change, const Tensor& image);

}  // namespace dinomaly
