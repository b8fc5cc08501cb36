// The folder layout of MVTec AD (Bergmann et al., CVPR 2019), which many data sets share (upper and lower
// case do not count in the names of these folders):
//   ROOT/CATEGORY/train/good/ID.png
//   ROOT/CATEGORY/test/DEFECT/ID.png, good images under test/good
//   ROOT/CATEGORY/ground_truth/DEFECT/ID_mask.png
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// How a data set's folders are named: MVTec AD and MPDD; BTAD {"ok", ""}; VisA as rearranged by its authors
// {"good", ""}.
struct FolderNames {
  std::string good = "good";          // in train and test
  std::string mask_suffix = "_mask";  // a mask is ID + suffix
};

// Lists the files of `categories`, or of every category of `root` in sorted order if none is named; reads
// none of them. Images are regular files ending in png, jpg, jpeg or bmp in any case; other and hidden files
// are passed over. A category may lack its test folder, or have images but no folders in it (they have no
// labels): then Category::test is empty; without a ground_truth folder there are no masks. Throws InputError
// naming the folder or file: a missing folder, a category without training images, two images of one id, an
// anomalous image without its mask, a category named twice or with a path for a name.
Dataset read_mvtec(const std::filesystem::path& root, const std::vector<std::string>& categories = {},
                   const FolderNames& names = {});

// One category whose folders train and test stand in `folder` itself.
Category read_mvtec_category(const std::filesystem::path& folder, const std::string& name,
                             const FolderNames& names = {});

}  // namespace dinomaly
