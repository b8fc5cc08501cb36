// One score for all images of an object.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/model/calibration.h"
#include "tensor/tensor.h"

namespace dinomaly {

// `none` for images that are objects by themselves.
ObjectKind object_kind(Grouping grouping);

// maps, each of any shape, f32: what counts of the blurred maps of the object's images, n values. Views: the mean of the
// int(n ratio) largest of all together (Dinomaly2); ratio 0: the largest. Pairs: the sum of their own scores (anomaly_score).
float object_score(const std::vector<Tensor>& maps, double ratio, ObjectKind kind);

// Scores of objects whose images come in any order; in memory are the maps of those objects that are not complete.
class ObjectCollector {
 public:
  struct Scores {
    std::vector<float> scores;
    std::vector<uint8_t> labels;  // 1 where any image is anomalous
  };
  // `samples`: all that will come, and others. `good`: only objects without any anomalous image count.
  ObjectCollector(const std::vector<Sample>& samples, double ratio, bool good);
  // The object does not count.
  void leave_out(const Sample& sample) { objects_.erase({sample.category, sample.object}); }
  // `values`: Prediction::counted_values(). What is of no object is passed over.
  void add(const Sample& sample, const Tensor& values);
  // By category, of the objects that are complete.
  const std::map<std::string, Scores>& by_category() const { return scores_; }
  ObjectKind kind() const { return kind_; }

 private:
  struct Object {
    int64_t missing = 0;
    bool anomalous = false;
    std::vector<Tensor> maps = {};
  };
  double ratio_;
  ObjectKind kind_ = ObjectKind::none;
  std::map<std::pair<std::string, std::string>, Object> objects_;  // by category and name
  std::map<std::string, Scores> scores_;
};

}  // namespace dinomaly
