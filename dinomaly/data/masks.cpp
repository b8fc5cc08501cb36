#include "dinomaly/data/masks.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/picture.h"
#include "dinomaly/image/point_cloud.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// A mask is as large as its file's image, of which the picture may be a strip, or the middle of a larger one.
Image mask_of_picture(const Sample& sample, const std::filesystem::path& file, int64_t width,
                      int64_t height) {
  const bool padded = sample.depth && is_point_cloud(*sample.depth);
  if (!sample.strip && !padded) return load_mask(file, width, height);
  const PixelLayout whole = open_pixels(sample.image)->layout();
  Image mask = load_mask(file, whole.width, whole.height);
  mask = padded ? padded_to_square(mask) : cut_strip(mask, *sample.strip, file);
  check_input(mask.width == width && mask.height == height,
              "{}: this view of the mask is {} x {}, what it is compared with {} x {} pixels", file.string(),
              mask.width, mask.height, width, height);
  return mask;
}

// Decodes the picture, of a whole file one row after the other; returns its size.
ImageSize decoded_size(const Sample& sample, const PixelRules& rules, const ReadLimits& limits) {
  if (sample.strip || sample.depth) {
    const Image image = load_picture(picture_of(sample), rules);
    return {image.width, image.height};
  }
  const std::unique_ptr<PixelRows> rows = open_picture(sample.image, limits, rules.channels);
  for (int64_t y = 0; y < rows->layout().height; ++y) rows->next();
  return size_of(rows->layout(), rules);
}

}  // namespace

Image load_sample_mask_image(const Sample& sample, int64_t width, int64_t height) {
  Image result = mask_of_picture(sample, sample.mask.value(), width, height);
  for (const std::filesystem::path& file : sample.further_masks) {
    const Image further = mask_of_picture(sample, file, width, height);
    for (size_t i = 0; i < result.pixels.size(); ++i)
      result.pixels[i] = std::max(result.pixels[i], further.pixels[i]);
  }
  return result;
}

Tensor load_sample_mask(const Sample& sample, int64_t width, int64_t height, const ImageConfig& config,
                        int64_t map_size) {
  if (!sample.mask) return Tensor::zeros({map_size, map_size}, Dtype::u8);
  // Dinomaly2 takes more than half after resizing for these, anything at all for others.
  const uint8_t above = sample.grouping == Grouping::rgb_and_infrared ? 127 : 0;
  return preprocess_mask(load_sample_mask_image(sample, width, height), config, map_size, above);
}

void check_takes_pairs(const PixelRules& rules, const std::string& name) {
  check_input(rules.channels == 3,
              "{}: pairs of an RGB and an infrared image are read with 3 channels, not {}", name,
              rules.channels);
}

void check_takes_pairs(const PixelRules& rules, const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    if (sample.grouping == Grouping::rgb_and_infrared) check_takes_pairs(rules, sample.image.string());
  }
}

Image mask_or_black(const Sample& sample, int64_t width, int64_t height) {
  return sample.mask ? load_sample_mask_image(sample, width, height) : Image(width, height, 1);
}

bool shows_defect_elsewhere(const Sample& sample, const RegionOfInterest& roi, const Image& mask) {
  return roi.on() && sample.anomalous && sample.mask && !roi.meets(mask);
}

bool shows_defect_elsewhere(const Sample& sample, const RegionOfInterest& roi, int64_t width,
                            int64_t height) {
  if (!roi.on() || !sample.mask) return false;
  return shows_defect_elsewhere(sample, roi, load_sample_mask_image(sample, width, height));
}

ImageSize picture_size(const Sample& sample, const PixelRules& rules) {
  if (sample.strip || sample.depth) return decoded_size(sample, rules, {});
  return size_of(open_picture(sample.image, strip_limits, rules.channels)->layout(), rules);
}

void verify_images(const std::vector<Sample>& samples, const PixelRules& rules, const ReadLimits& limits) {
  check_takes_pairs(rules, samples);
  for_each_in_parallel(samples.size(), [&](size_t i) {
    const ImageSize size = decoded_size(samples[i], rules, limits);
    if (samples[i].mask) load_sample_mask_image(samples[i], size.width, size.height);
  });
}

int64_t measured_bit_depth(const std::vector<Sample>& samples, int64_t channels) {
  // Every image of fewer bits is read to its end, here and again for its features: the brightest pixel of all decides,
  // it may be in any of them, and features need the answer first. Only what needs all 16 bits is known at once.
  constexpr int64_t needs_16_bits = int64_t{1} << 14;
  std::vector<int64_t> largest(samples.size());
  std::atomic<bool> is_known = false;
  for_each_in_parallel(samples.size(), [&](size_t i) {
    if (is_known) return;
    try {
      largest[i] = largest_deep_sample(samples[i].image, needs_16_bits, channels);
      if (largest[i] >= needs_16_bits) is_known = true;
    } catch (const InputError&) {  // whoever needs its pixels reports it
    }
  });
  const int64_t value = samples.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
  if (value == 0) return 16;
  int64_t depth = 8;
  while (depth < 16 && value >> depth != 0) depth += 2;
  return depth;
}

}  // namespace dinomaly
