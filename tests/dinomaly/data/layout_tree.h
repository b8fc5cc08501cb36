// A data set of empty files, for tests of layouts: the readers look at names only.
#pragma once

#include "dinomaly/base/framework.h"
#include "dinomaly/data/layout.h"
#include "tests/support.h"

namespace dinomaly {

struct Tree {
  TemporaryFolder folder;
  std::filesystem::path root = folder / "set";

  void add(const std::vector<std::string>& names) const {
    for (const std::string& name : names) write_file(root / name, "");
  }
  std::string error(const std::vector<std::string>& categories = {}) const {
    return input_error([&] { read_dataset(root, categories); });
  }
};

// "good/000 bad/001+": defect/id of the samples, + for a mask, and ! where `anomalous` does not fit the name.
inline std::string summary(const std::vector<Sample>& samples) {
  std::string text;
  for (const Sample& sample : samples) {
    text += (text.empty() ? "" : " ") + sample.defect + "/" + sample.id + (sample.mask ? "+" : "") +
            (sample.anomalous == (sample.defect == "good") ? "!" : "");
  }
  return text;
}

}  // namespace dinomaly
