#include "dinomaly/data/loader.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "dinomaly/image/image.h"

namespace dinomaly {

namespace {

std::vector<int64_t> from_first_to_last(size_t count) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

ImageLoader::ImageLoader(const std::vector<Sample>& samples, const ImageConfig& config, int64_t batch)
    : ImageLoader(samples, config, batch, from_first_to_last(samples.size())) {}

ImageLoader::ImageLoader(const std::vector<Sample>& samples, const ImageConfig& config, int64_t batch,
                         std::vector<int64_t> order)
    : samples_(samples), config_(config), order_(std::move(order)), batch_(static_cast<size_t>(batch)) {
  start();
}

Tensor ImageLoader::load(size_t begin, size_t end) const {
  const Tensor images = Tensor::empty({static_cast<int64_t>(end - begin), 3, config_.crop_h, config_.crop_w});
  for (size_t i = begin; i < end; ++i) {
    const Sample& sample = samples_.at(static_cast<size_t>(order_[i]));
    images.select(0, static_cast<int64_t>(i - begin))
        .copy_from(preprocess(load_image_rgb(sample.image), config_));
  }
  return images;
}

ImageLoader::~ImageLoader() {
  if (ahead_.valid()) ahead_.wait();
}

void ImageLoader::start() {
  const size_t begin = position_, end = std::min(order_.size(), position_ + batch_);
  if (begin < end) ahead_ = std::async(std::launch::async, [this, begin, end] { return load(begin, end); });
}

Tensor ImageLoader::next() {
  check(!done(), "image loader: there is no further batch");
  Tensor images = ahead_.get();
  position_ = std::min(order_.size(), position_ + batch_);
  start();
  return images;
}

Image load_mask_of(const Sample& sample, int64_t width, int64_t height) {
  Image mask = load_mask(*sample.mask, width, height);
  if (sample.label_mask) {
    for (uint8_t& pixel : mask.pixels) pixel = pixel > 0 ? 255 : 0;
  }
  return mask;
}

Tensor load_sample_mask(const Sample& sample, const ImageConfig& config, int64_t map_size) {
  if (!sample.mask) return Tensor::zeros({map_size, map_size}, Dtype::u8);
  const Image image = load_image_rgb(sample.image);
  return preprocess_mask(load_mask_of(sample, image.width, image.height), config, map_size);
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
