// What the images looked like that a model was trained on. It is stored in the model's file, so that an image
// unlike them is not judged without a word.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/image/read_ahead.h"

namespace dinomaly {

// In one respect an image is unlike the training images.
struct ImageWarning {
  std::string kind;  // "smaller", "larger", "aspect", "grey" or "colour"
  std::string text;  // one line
  bool operator==(const ImageWarning&) const = default;
};

struct TrainingImages {
  int64_t images = 0, grey = 0;  // how many there were, and how many of them were grey
  int64_t least_width = 0, most_width = 0, least_height = 0, most_height = 0;  // pixels
  double least_aspect = 0, most_aspect = 0;                                    // width / height
  bool strips = false;  // they were views cut out of one picture (Grouping::strips)

  void add(const InputImage& image);
  // Sides less than half of the smallest or more than twice the largest, but not one of either; an aspect ratio more than
  // a tenth beyond the others; no colours where all had some, or the other way round. `tiled`: the image is judged in
  // tiles, which may be as many as they like. Nothing is unlike no images; but a model of one channel is not shown
  // colours without a word.
  std::vector<ImageWarning> warnings(const InputImage& image, bool tiled) const;

  nlohmann::json to_json() const;
  // The metadata "training_images" of a model file. Earlier versions did not say whether they were strips: those of
  // 256 x 256 pixels, as MANTA's, are taken for it. Throws InputError naming `source` for anything that
  // to_json() cannot have written.
  static TrainingImages from_text(const std::string& text, const std::string& source);
  bool operator==(const TrainingImages&) const = default;
};

}  // namespace dinomaly
