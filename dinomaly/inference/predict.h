// A trained model on images of any size: a score and a map in the image's own pixels.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/image_map.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/image/tiles.h"
#include "dinomaly/model/model.h"

namespace dinomaly {

// What the model says of one image. The maps are on the CPU.
class Prediction {
 public:
  Prediction() = default;

  double score = 0;  // the model's; of tiles, the highest one's
  Box inspected;     // the pixels the model was shown; elsewhere map() only continues
  // (S, S) f32: smoothed, at the config's map_size, what the `paper` protocol evaluates;
  // undefined with tiles.
  Tensor blurred;
  // (height, width) f32, the image's size; made when it is first asked for. Not from two threads at a time.
  const Tensor& map() const;

 private:
  friend class Predictor;
  Tensor of_tiles() const;

  int64_t width_ = 0, height_ = 0;
  Tiling tiling_;
  ImageConfig config_;
  std::vector<Tensor> parts_;  // (h, w) f32, of the image as a whole or of each tile
  mutable Tensor map_;
};

class Predictor {
 public:
  // The model must outlive the predictor; it runs without dropout, whatever its mode. At most `batch` images
  // or tiles go through it at a time.
  explicit Predictor(const Dinomaly& model, const Tiling& tiling = {}, int64_t batch = 16);

  const Tiling& tiling() const { return tiling_; }
  int64_t batch() const { return batch_; }
  // (n, 3, crop_h, crop_w) f32: the image resized and cropped (n = 1), or its tiles. A tile has no margin
  // to spare: it is resized to the crop's size and not cropped. Safe to call from any thread.
  Tensor inputs(const Image& rgb) const;
  // A prediction for each image; an empty one for those that hold an error.
  std::vector<Prediction> predict(const std::vector<InputImage>& images) const;
  Prediction predict(const Image& rgb) const;

 private:
  struct Judged {
    std::vector<float> scores;
    std::vector<Tensor> blurred,
        maps;  // of each input, on the CPU: AnomalyMaps::blurred, and the one handed out
  };
  Judged judge(const std::vector<Tensor>& inputs) const;

  const Dinomaly& model_;
  Tiling tiling_;
  int64_t batch_;
  Config config_;  // the model's, as adapted to tiles
};

}  // namespace dinomaly
