// A data set as training and evaluation see it, whatever layout its folders have. Which files exist is known;
// none has been read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dinomaly {

struct Sample {
  std::string category;
  std::string defect;  // the folder's name; "good" for a normal image
  std::string id;      // the file's name without extension
  std::filesystem::path image;
  std::optional<std::filesystem::path> mask;  // of anomalous images
  bool anomalous = false;
};

struct Category {
  std::string name;
  std::vector<Sample> train;  // sorted by id; all normal
  std::vector<Sample> test;   // sorted by defect, then id
};

struct Dataset {
  std::filesystem::path root;
  std::vector<Category> categories;  // in the order asked for
};

}  // namespace dinomaly
