// What predict says of objects of which several images were judged.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/inference/object_score.h"
#include "dinomaly/inference/predict.h"

namespace dinomaly {

struct ObjectVerdict {
  std::filesystem::path name;                // the folder of its images, or what pair_member() says
  std::vector<std::filesystem::path> files;  // its images
  int64_t images = 0;                        // that were judged
  double score = 0;
  std::optional<double> threshold;
  bool anomalous = false;
  std::string error;  // not empty: an image of it is missing or was not judged, so neither is the object
  bool incomplete = false;  // one of a pair's images has not come, or it is ambiguous
  bool ambiguous = false;   // a pair has two images of one sensor
  bool repeated = false;    // the second of them came after the verdict, which stands: `error` alone is new
};

// Takes predictions in any order. The images of one folder are the views of one object: it keeps each image's map until
// the end, at map_size 256 a quarter of a megabyte. Of pairs it keeps those whose partner has not come, and the names of
// the last 65536 that had a verdict. Paths that lead to one file by "." and ".." are one.
class ObjectJudge {
 public:
  // Scores are object_score()'s of `kind` (views or pairs) and the model's score_ratio. No threshold: no decision.
  // `watched`: files come and go, and a pair whose files are gone may come once more.
  ObjectJudge(ObjectKind kind, double ratio, std::optional<double> threshold, bool watched = false)
      : kind_(kind), ratio_(ratio), threshold_(threshold), watched_(watched) {}
  // The verdict on the pair that is now complete. An image with an error leaves its object without a verdict.
  // Predictions without tiles.
  std::optional<ObjectVerdict> add(const InputImage& image, const Prediction& prediction);
  ObjectKind kind() const { return kind_; }
  std::vector<ObjectVerdict> verdicts() const;  // on the others, by name

 private:
  using OfSensors = std::array<std::filesystem::path, 2>;  // RGB, infrared
  struct Images {
    std::filesystem::path name;
    std::vector<std::filesystem::path> files;
    std::vector<Tensor> maps;  // Prediction::counted_values()
    OfSensors of_sensors;      // only of pairs
    std::string error;
    bool ambiguous = false;  // two images of one sensor
  };
  std::optional<ObjectVerdict> add_to_pair(const InputImage& image, const Prediction& prediction);
  // An image of a sensor whose object has a verdict already, by another file that is still there.
  std::optional<ObjectVerdict> repetition(const std::filesystem::path& object,
                                          const std::filesystem::path& image, bool infrared);
  void remember(const std::filesystem::path& object, const OfSensors& images);
  ObjectVerdict verdict_on(const Images& images) const;

  ObjectKind kind_;
  double ratio_;
  std::optional<double> threshold_;
  bool watched_;
  std::map<std::filesystem::path, Images> objects_;  // by absolute path
  std::map<std::filesystem::path, OfSensors> judged_;
  std::deque<std::filesystem::path> judged_order_;
};

// {"object", "images", "score", "threshold", "anomalous"}, or {"object", "error"}.
nlohmann::json to_json(const ObjectVerdict& verdict);
// A line under csv_header(): the object in place of the image; what an object does not have is empty.
std::string to_csv(const ObjectVerdict& verdict);
// "anomalous  0.123456  NAME  (object of 5 images)".
std::string to_text(const ObjectVerdict& verdict);

}  // namespace dinomaly
