// A data set as training and evaluation see it, whatever its folder layout. Its files are known to exist;
// none has been read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/image/picture.h"

namespace dinomaly {

// How images that show one object are used.
enum class Grouping {
  none,              // each image is an object of its own
  views,             // images of an object, each trained on by itself
  strips,            // the same, side by side in one file: training takes one of them at random each time
  rgb_and_infrared,  // two images of an object: training takes both, and their scores add up
};

struct Sample {
  std::string category = {};
  std::string defect = {};  // the folder's name; "good" for a normal image
  std::string id = {};  // the file's name without extension; with its defect unique in the category's part
  std::filesystem::path image = {};
  std::optional<std::filesystem::path> mask = {};  // of anomalous images
  bool anomalous = false;
  std::vector<std::filesystem::path> further_masks = {};  // what any mask marks is defective

  // Samples of a category's part that share a name are the views of one object; empty with Grouping::none.
  std::string object = {};
  Grouping grouping = Grouping::none;
  std::optional<Strip> strip = {};  // the columns of `image` that are meant; none: the whole file
  bool infrared = false;            // with rgb_and_infrared
  std::optional<std::filesystem::path> depth = {};  // the depth of the image's scene
};

// What the sample's pixels are read from.
Picture picture_of(const Sample& sample);
std::vector<Picture> pictures_of(const std::vector<Sample>& samples);

struct Category {
  std::string name;
  std::vector<Sample> train;  // sorted by id; all normal
  std::vector<Sample> test;   // sorted by defect, then id; empty where the data set has no labelled test part
};

struct Dataset {
  std::filesystem::path root;
  std::vector<Category> categories;     // in the order asked for
  std::string layout = {};              // for display: "MVTec AD"
  std::vector<std::string> notes = {};  // what a user should know about how it was read
};

// Why a category cannot be evaluated, in a few words ("no anomalous test images", "test images without
// masks"). Empty if it can: it has good and anomalous test images, and a mask for each anomalous one.
std::string missing_for_evaluation(const Category& category);

// The same, but without requiring masks, which image-level metrics do not need.
std::string missing_classes(const Category& category);

// All normal training images, category after category.
std::vector<Sample> training_samples(const Dataset& dataset);
std::vector<Sample> test_samples(const Dataset& dataset);

// The pictures of at most `most` samples, spread evenly: always the same ones of the same samples.
std::vector<Picture> pictures_of_some(const std::vector<Sample>& samples, size_t most);

}  // namespace dinomaly
