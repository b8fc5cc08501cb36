#include "dinomaly/training/augmented_images.h"

#include <utility>

#include "dinomaly/base/parallel.h"
#include "dinomaly/image/augment.h"
#include "dinomaly/image/picture.h"
#include "dinomaly/image/preprocess.h"
#include "tensor/ops.h"

namespace dinomaly {

AugmentedImages::AugmentedImages(const Config& config, std::vector<Sample> samples, size_t memory)
    : config_(config), samples_(std::move(samples)), resized_(samples_.size()), memory_(memory) {}

Image AugmentedImages::resized(int64_t index) {
  Image& kept = resized_.at(static_cast<size_t>(index));
  if (!kept.pixels.empty()) return kept;
  ImageConfig whole = config_.image;
  whole.crop_h = whole.resize_h, whole.crop_w = whole.resize_w;
  const Image read = load_picture(picture_of(samples_.at(static_cast<size_t>(index))), whole.pixels);
  Image image = resize_and_crop(read, whole);
  if (bytes_ + image.pixels.size() <= memory_) {
    bytes_ += image.pixels.size();
    kept = image;
  }
  return image;
}

Tensor AugmentedImages::batch(const std::vector<int64_t>& indices, int64_t iteration) {
  // A stream of its own: dropout and the order of the data draw from the seed itself.
  constexpr uint64_t stream = 0x6175676d656e74;
  std::vector<Image> images;
  for (const int64_t index : indices) images.push_back(resized(index));
  ImageConfig small = config_.image;
  small.resize_h = small.crop_h, small.resize_w = small.crop_w;
  const uint64_t first = static_cast<uint64_t>(iteration) * indices.size();
  std::vector<Tensor> inputs(images.size());
  for_each_in_parallel(images.size(), [&](size_t i) {
    Generator generator(config_.seed ^ stream, (first + i) * most_draws_per_variation);
    const Variation variation = draw_variation(config_.image, generator);
    inputs[i] = preprocess(varied(images[i], variation, config_.image), small).unsqueeze(0);
  });
  return cat(inputs, 0);
}

}  // namespace dinomaly
