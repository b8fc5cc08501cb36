#include "dinomaly/pretraining/photometric.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "dinomaly/synthetic/canvas.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

struct Planes {
  float* values;
  int64_t height, width;
  int64_t pixels() const { return height * width; }
};

Planes planes_of(const Tensor& image) {
  check(image.rank() == 3 && image.size(0) == 3 && image.dtype() == Dtype::f32 && image.is_contiguous() &&
            image.numel() > 0 && image.device() == Device::cpu(),
        "photometric: expected (3, H, W) f32 on the CPU, contiguous, got {} {}", image.dtype(),
        image.shape());
  image.mark_written();
  return {image.data<float>(), image.size(1), image.size(2)};
}

std::vector<float> gaussian(double deviation) {
  const auto radius = static_cast<int64_t>(std::ceil(3 * deviation));
  std::vector<float> weights;
  float sum = 0;
  for (int64_t i = -radius; i <= radius; ++i) {
    const double x = static_cast<double>(i) / deviation;
    weights.push_back(static_cast<float>(std::exp(-0.5 * x * x)));
    sum += weights.back();
  }
  for (float& weight : weights) weight /= sum;
  return weights;
}

// Filters `count` values, `step` apart.
void filter_line(float* line, int64_t count, int64_t step, const std::vector<float>& weights,
                 std::vector<float>& padded) {
  const auto radius = static_cast<int64_t>(weights.size() / 2);
  padded.resize(static_cast<size_t>(count + 2 * radius));
  for (int64_t i = -radius; i < count + radius; ++i)
    padded[static_cast<size_t>(i + radius)] = line[std::clamp<int64_t>(i, 0, count - 1) * step];
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (size_t j = 0; j < weights.size(); ++j) sum += weights[j] * padded[static_cast<size_t>(i) + j];
    line[i * step] = sum;
  }
}

}  // namespace

PhotometricChange draw_photometric_change(Generator& generator) {
  const auto sometimes = [&](double probability, double low, double high, double otherwise) {
    const double value = uniform(generator, low, high);  // drawn in any case: what follows stays the same
    return generator.uniform() < probability ? value : otherwise;
  };
  PhotometricChange change;
  change.brightness = sometimes(0.8, -0.15, 0.15, 0);
  change.contrast = sometimes(0.8, 0.65, 1.4, 1);
  change.gamma = std::exp(sometimes(0.5, -0.35, 0.35, 0));
  change.saturation = sometimes(0.5, 0.4, 1.4, 1);
  for (double& gain : change.gain) gain = uniform(generator, 0.9, 1.1);
  change.blur = sometimes(0.3, 0.3, 1.2, 0);
  change.noise = sometimes(0.5, 0, 0.04, 0);
  change.noise_seed = uint64_t{generator.next_word()} << 32 | generator.next_word();
  return change;
}

void change_contrast(const Tensor& image, double brightness, double contrast) {
  const Planes planes = planes_of(image);
  double sum = 0;
  for (int64_t i = 0; i < 3 * planes.pixels(); ++i) sum += planes.values[i];
  const double mean = sum / static_cast<double>(3 * planes.pixels());
  const auto scale = static_cast<float>(contrast),
             shift = static_cast<float>(mean * (1 - contrast) + brightness);
  for (int64_t i = 0; i < 3 * planes.pixels(); ++i) planes.values[i] = planes.values[i] * scale + shift;
}

void change_gamma(const Tensor& image, double gamma) {
  const Planes planes = planes_of(image);
  const auto exponent = static_cast<float>(gamma);
  for (int64_t i = 0; i < 3 * planes.pixels(); ++i)
    planes.values[i] = std::pow(std::clamp(planes.values[i], 0.0F, 1.0F), exponent);
}

void change_colours(const Tensor& image, double saturation, const std::array<double, 3>& gain) {
  const Planes planes = planes_of(image);
  const int64_t pixels = planes.pixels();
  const auto share = static_cast<float>(saturation);
  for (int64_t i = 0; i < pixels; ++i) {
    float* red = planes.values + i;
    const float grey = 0.299F * red[0] + 0.587F * red[pixels] + 0.114F * red[2 * pixels];
    for (int64_t c = 0; c < 3; ++c)
      red[c * pixels] =
          (grey + share * (red[c * pixels] - grey)) * static_cast<float>(gain[static_cast<size_t>(c)]);
  }
}

void blur(const Tensor& image, double deviation) {
  const Planes planes = planes_of(image);
  if (deviation <= 0) return;
  const std::vector<float> weights = gaussian(deviation);
  std::vector<float> padded;
  for (int64_t c = 0; c < 3; ++c) {
    float* plane = planes.values + c * planes.pixels();
    for (int64_t y = 0; y < planes.height; ++y)
      filter_line(plane + y * planes.width, planes.width, 1, weights, padded);
    for (int64_t x = 0; x < planes.width; ++x)
      filter_line(plane + x, planes.height, planes.width, weights, padded);
  }
}

// Each block of random words gives two values that are roughly normal: sums of four uniform numbers of 16 bits.
void add_noise(const Tensor& image, double deviation, uint64_t seed) {
  const Planes planes = planes_of(image);
  if (deviation <= 0) return;
  const double unit = deviation * std::numbers::sqrt3 / 65536;
  for (int64_t i = 0; i < 3 * planes.pixels(); i += 2) {
    const Philox4 block = philox(seed, static_cast<uint64_t>(i / 2));
    for (int64_t j = 0; j < 2 && i + j < 3 * planes.pixels(); ++j) {
      double sum = -2 * 65535;
      for (const uint32_t word : {block.word[2 * j], block.word[2 * j + 1]})
        sum += (word & 0xffff) + (word >> 16);
      planes.values[i + j] += static_cast<float>(unit * sum);
    }
  }
}

void apply(const PhotometricChange& change, const Tensor& image) {
  change_contrast(image, change.brightness, change.contrast);
  change_colours(image, change.saturation, change.gain);
  if (change.gamma != 1) change_gamma(image, change.gamma);
  blur(image, change.blur);
  add_noise(image, change.noise, change.noise_seed);
  float* values = image.data<float>();
  for (int64_t i = 0; i < image.numel(); ++i) values[i] = std::clamp(values[i], 0.0F, 1.0F);
}

}  // namespace dinomaly
