// The folder layout of MVTec AD (Bergmann et al., CVPR 2019), which many data sets share:
//   ROOT/CATEGORY/train/good/ID.png
//   ROOT/CATEGORY/test/DEFECT/ID.png, good images under test/good
//   ROOT/CATEGORY/ground_truth/DEFECT/ID_mask.png
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

struct MvtecCategory {
  std::string name;
  std::vector<Sample> train;  // sorted by id; all normal
  std::vector<Sample> test;   // sorted by defect, then id
};

struct MvtecDataset {
  std::filesystem::path root;
  std::vector<MvtecCategory> categories;  // in the order asked for
};

// Lists the files of `categories`, or of every category of `root` in sorted order if none is named; reads
// none of them. Images are regular files ending in png, jpg, jpeg or bmp in any case; other and hidden files
// are passed over. Throws InputError naming the folder or file: a missing folder, a category without training
// or test images, two images of one id, an anomalous image without its mask, a category named twice or with a
// path for a name.
MvtecDataset read_mvtec(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

}  // namespace dinomaly
