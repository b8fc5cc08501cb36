// A data set as training and evaluation see it, whatever layout its folders have. Which files exist is known;
// none has been read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dinomaly {

struct Sample {
  std::string category = {};
  std::string defect = {};  // the folder's name; "good" for a normal image
  std::string id = {};  // the file's name without extension; with its defect unique in the category's part
  std::filesystem::path image = {};
  std::optional<std::filesystem::path> mask = {};  // of anomalous images
  bool anomalous = false;
  // The mask's values are labels (1, 2, ... in VisA as published, 1 in many a mask): any of them counts as
  // 255 before the mask is resized, where they would vanish.
  bool label_mask = false;
};

struct Category {
  std::string name;
  std::vector<Sample> train;  // sorted by id; all normal
  std::vector<Sample> test;   // sorted by defect, then id; empty where the data set has no labelled test part
};

struct Dataset {
  std::filesystem::path root;
  std::vector<Category> categories;     // in the order asked for
  std::string layout = {};              // for people: "MVTec AD"
  std::vector<std::string> notes = {};  // what a user should be told about how it was read
};

// Why a category cannot be judged, in a few words ("no anomalous test images", "test images without masks");
// empty where it can be: good and anomalous test images, and a mask for each of the latter.
std::string missing_for_evaluation(const Category& category);

// The same without the masks, which image-level metrics do without.
std::string missing_classes(const Category& category);

// All normal training images, category after category.
std::vector<Sample> training_samples(const Dataset& dataset);

}  // namespace dinomaly
