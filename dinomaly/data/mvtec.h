// The folder layout of MVTec AD (Bergmann et al., CVPR 2019), which many data sets share:
//   ROOT/CATEGORY/train/good/ID.png
//   ROOT/CATEGORY/test/DEFECT/ID.png, good images under test/good
//   ROOT/CATEGORY/ground_truth/DEFECT/ID_mask.png
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// Lists the files of `categories`, or of every category of `root` in sorted order if none is named; reads
// none of them. Images are regular files ending in png, jpg, jpeg or bmp in any case; other and hidden files
// are passed over. Throws InputError naming the folder or file: a missing folder, a category without training
// or test images, two images of one id, an anomalous image without its mask, a category named twice or with a
// path for a name.
Dataset read_mvtec(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

}  // namespace dinomaly
