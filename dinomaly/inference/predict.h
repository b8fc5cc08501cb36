// A trained model on images of any size: a score and a map in the image's own pixels.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/image_map.h"
#include "dinomaly/image/tiles.h"
#include "dinomaly/model/model.h"

namespace dinomaly {

// An image on its way to the model.
struct InputImage {
  std::filesystem::path path;
  Image rgb;
  Tensor inputs;      // Predictor::inputs(rgb)
  std::string error;  // not empty: the image could not be read, and why
};

struct Prediction {
  double score = 0;  // the model's; of tiles, the highest one's
  Tensor map;        // (height, width) f32, the image's size
  Box seen;          // the pixels the model saw; elsewhere the map only continues
};

class Predictor {
 public:
  // The model must outlive the predictor; it runs without dropout, whatever its mode. At most `batch` images
  // or tiles go through it at a time.
  explicit Predictor(const Dinomaly& model, const Tiling& tiling = {}, int64_t batch = 16);

  const Tiling& tiling() const { return tiling_; }
  // (n, 3, crop_h, crop_w) f32: the image resized and cropped (n = 1), or its tiles. A tile has no margin
  // to spare: it is resized to the crop's size and not cropped. Safe to call from any thread.
  Tensor inputs(const Image& rgb) const;
  // A prediction for each image, none of which may hold an error.
  std::vector<Prediction> predict(const std::vector<InputImage>& images) const;
  Prediction predict(const Image& rgb) const;

 private:
  struct Judged {
    std::vector<float> scores;
    std::vector<Tensor> maps;  // (h, w) f32 of each input, on the CPU
  };
  Judged judge(const std::vector<Tensor>& inputs) const;

  const Dinomaly& model_;
  Tiling tiling_;
  int64_t batch_;
  Config config_;  // the model's, as adapted to tiles
};

}  // namespace dinomaly
