// A test image as results show it.
#pragma once

#include <optional>

#include "dinomaly/data/dataset.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/preprocess.h"

namespace dinomaly {

struct ShownSample {
  Image rgb;                  // what the model was shown: resized and cropped
  std::optional<Image> mask;  // grey, resized and cropped alike: above 0 where anomalous
};

// Reads the sample's files again: kept in memory since they were judged, the crops of 10,000 images would take
// 4.6 GB (392 x 392 pixels). `config`: of the predictor (inspecting_config()). Throws InputError as
// load_picture() and load_sample_mask_image() do.
ShownSample load_shown_sample(const Sample& sample, const ImageConfig& config);

}  // namespace dinomaly
