#include "dinomaly/inference/prediction.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/ops.h"

namespace dinomaly {

Tensor values_at(const Tensor& map, const std::vector<int64_t>& places) {
  const Tensor dense = map.contiguous();
  Tensor result = Tensor::empty({static_cast<int64_t>(places.size())});
  for (size_t i = 0; i < places.size(); ++i) result.data<float>()[i] = dense.data<float>()[places[i]];
  return result;
}

MapPlace place_of_crop(const ImageConfig& image, int64_t width, int64_t height) {
  const auto along = [](int64_t size, int64_t resized, int64_t crop) {
    const double scale = static_cast<double>(size) / static_cast<double>(resized);
    return std::pair(static_cast<double>(centre_crop_offset(resized, crop)) * scale,
                     static_cast<double>(crop) * scale);
  };
  const auto [x, crop_width] = along(width, image.resize_w, image.crop_w);
  const auto [y, crop_height] = along(height, image.resize_h, image.crop_h);
  return {x, y, crop_width, crop_height};
}

const Tensor& Prediction::map() const {
  check(map_.defined() || !parts_.empty(), "prediction: there is no map of an image that was not judged");
  if (map_.defined()) return map_;
  map_ = tiling_.on() ? of_tiles() : map_to_image(parts_[0], width_, height_, config_);
  clear_outside();
  return map_;
}

void Prediction::clear_outside() const {
  if (!roi_->on()) return;
  const std::vector<uint8_t> counts = roi_->inside({0, 0, width_, height_});
  float* values = map_.data<float>();
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) values[i] = 0;
  }
}

std::vector<uint8_t> Prediction::counted() const {
  return roi_->on() ? roi_->inside(inspected) : std::vector<uint8_t>();
}

std::vector<int64_t> Prediction::counted_places() const {
  return roi_->on_map(place_of_crop(config_, width_, height_), blurred.size(0), blurred.size(1));
}

Tensor Prediction::counted_values() const {
  if (!blurred.defined()) return {};
  return roi_->on() ? values_at(blurred, counted_places()) : blurred.contiguous().reshape({-1});
}

Tensor Prediction::counted_map() const {
  if (!blurred.defined() || !roi_->on()) return blurred;
  const std::vector<int64_t> places = counted_places();
  const Tensor values = values_at(blurred, places);
  const float* const value = values.data<float>();
  Tensor map = Tensor::full(blurred.shape(), *std::min_element(value, value + places.size()));
  for (size_t i = 0; i < places.size(); ++i) map.data<float>()[places[i]] = value[i];
  return map;
}

bool Prediction::is_finite() const {
  return std::isfinite(score) && nabla::is_finite(blurred) && nabla::is_finite(map_) &&
         std::all_of(parts_.begin(), parts_.end(), [](const Tensor& part) { return nabla::is_finite(part); });
}

std::vector<Tensor> Prediction::tensors() const {
  std::vector<Tensor> result{blurred, map_};
  if (!parts_.empty()) result[1] = {};  // it can be made of them
  result.insert(result.end(), parts_.begin(), parts_.end());
  return result;
}

Tensor Prediction::of_tiles() const {
  TileBlend blend(width_, height_, tiling_);
  size_t next = 0;
  for (const Box& box : blend.boxes()) blend.add(box, resize_map(parts_[next++], box.width, box.height));
  return blend.result();
}

}  // namespace dinomaly
