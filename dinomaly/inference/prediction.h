// What the model says of one image: a score and a map in the image's own pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dinomaly/image/image_map.h"
#include "dinomaly/image/inspection.h"
#include "tensor/tensor.h"

namespace dinomaly {

// Of one image, as Predictor makes it. The maps are on the CPU.
class Prediction {
 public:
  Prediction() = default;

  double score = 0;  // the model's, of all of the map that counts; of tiles, the highest one's
  Box inspected;     // the pixels the model was shown; elsewhere map() only continues
  // (S, S) f32: smoothed, at the config's map_size, what the `paper` protocol evaluates;
  // undefined with tiles.
  Tensor blurred;
  // (height, width) f32, the image's size; made when it is first asked for. Not from two threads at a time. Outside of the
  // region of interest it is 0, where nothing is anomalous.
  const Tensor& map() const;
  // What counts: none, all of `inspected` does.
  const RegionOfInterest& roi() const { return *roi_; }
  // Of the pixels of `inspected`, row-major: 1 where they count; empty where all do.
  std::vector<uint8_t> counted() const;
  // (n) f32: the values of `blurred` that count; undefined with tiles.
  Tensor counted_values() const;
  // (S, S) f32: `blurred`, where what does not count is as low as the lowest that does; undefined with tiles.
  Tensor counted_map() const;
  // Whether score and maps are: an overflow inside of the model leaves NaN. NaN is below every threshold.
  bool is_finite() const;
  // All that the model computed: Predictor::restored() makes the prediction of it again.
  std::vector<Tensor> tensors() const;

 private:
  friend class Predictor;
  Tensor of_tiles() const;
  void clear_outside() const;
  std::vector<int64_t> counted_places() const;  // of `blurred`

  int64_t width_ = 0, height_ = 0;
  std::shared_ptr<const RegionOfInterest> roi_ = std::make_shared<RegionOfInterest>();
  Tiling tiling_;
  ImageConfig config_;
  std::vector<Tensor> parts_;  // (h, w) f32, of the image as a whole or of each tile
  mutable Tensor map_;
};

// Where the crop, and so a map, lies in an image of this size.
MapPlace place_of_crop(const ImageConfig& image, int64_t width, int64_t height);

// (n) f32: the values at these places of a map, row-major.
Tensor values_at(const Tensor& map, const std::vector<int64_t>& places);

}  // namespace dinomaly
