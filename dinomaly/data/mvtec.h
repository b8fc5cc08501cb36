// The folder layout of MVTec AD (Bergmann et al., CVPR 2019), which many data sets share (case is ignored in
// the names of these folders):
//   ROOT/CATEGORY/train/good/ID.png
//   ROOT/CATEGORY/test/DEFECT/ID.png, good images under test/good
//   ROOT/CATEGORY/ground_truth/DEFECT/ID_mask.png
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// How a data set names its folders and masks. The defaults are for MVTec AD and MPDD; BTAD: {"ok", ""}; VisA
// as rearranged by its authors: {"good", ""}.
struct FolderNames {
  std::string good = "good";          // in train and test
  std::string mask_suffix = "_mask";  // a mask is ID + suffix
  // AutoVI: an image's masks, one or several, are all images of ground_truth/DEFECT/ID.
  bool masks_in_folders = false;
};

// Lists the files of `categories`, or of every category of `root` in sorted order if none is named; reads
// none of them. Images are what image_files.h says; Dataset::notes names what is not used. If a category's test
// folder is missing, or holds images but no subfolders (so no labels), Category::test is empty; without a
// ground_truth folder there are no masks. Throws InputError naming the folder or file at fault: a missing
// folder, a category without training images, two images with the same id or one of a format that is not read,
// an anomalous image without its mask, a category named twice or whose name is a path.
Dataset read_mvtec(const std::filesystem::path& root, const std::vector<std::string>& categories = {},
                   const FolderNames& names = {});

// One category whose folders train and test are in `folder` itself. Adds to `notes` what is not used.
Category read_mvtec_category(const std::filesystem::path& folder, const std::string& name,
                             std::vector<std::string>& notes, const FolderNames& names = {});

}  // namespace dinomaly
