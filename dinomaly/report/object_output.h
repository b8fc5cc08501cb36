// What predict says of objects of which several images were judged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/inference/predict.h"

namespace dinomaly {

struct ObjectVerdict {
  std::filesystem::path folder;  // of its images
  int64_t images = 0;            // that were judged
  double score = 0;
  std::optional<double> threshold;
  bool anomalous = false;
  std::string error;  // not empty: an image of it was not judged, so neither is the object
};

// Takes predictions in any order; the images of one folder are the views of one object. Keeps each image's map
// until the end: at map_size 256, a quarter of a megabyte.
class ObjectJudge {
 public:
  // The score of an object is the mean of the largest `ratio` of the values of all its maps together (Dinomaly2;
  // anomaly_score). `threshold`: that of images; none: no decision.
  ObjectJudge(double ratio, std::optional<double> threshold) : ratio_(ratio), threshold_(threshold) {}
  // An image with an error leaves its object without a verdict. Predictions without tiles.
  void add(const InputImage& image, const Prediction& prediction);
  std::vector<ObjectVerdict> verdicts() const;  // by folder

 private:
  struct Views {
    std::vector<Tensor> maps;  // (1, S, S)
    std::string error;
  };
  double ratio_;
  std::optional<double> threshold_;
  std::map<std::filesystem::path, Views> objects_;
};

// {"object", "images", "score", "threshold", "anomalous"}, or {"object", "error"}.
nlohmann::json to_json(const ObjectVerdict& verdict);
// A line under csv_header(): the folder in place of the image; what an object does not have is empty.
std::string to_csv(const ObjectVerdict& verdict);
// "anomalous  0.123456  FOLDER  (object of 5 images)".
std::string to_text(const ObjectVerdict& verdict);

}  // namespace dinomaly
