// What predict says about images that are unlike the training images.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dinomaly/base/progress.h"
#include "dinomaly/model/training_images.h"

namespace dinomaly {

// The first few of a kind get a line each on standard error, the others are counted: a thousand grey images
// are one fact.
class WarningLog {
 public:
  void add(const std::filesystem::path& image, const std::vector<ImageWarning>& warnings, Progress& progress);
  void count_others() const;  // a line for each kind with more than those

 private:
  std::map<std::string, int64_t> counts_;  // by kind
};

}  // namespace dinomaly
