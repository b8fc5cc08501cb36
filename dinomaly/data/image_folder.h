// A plain folder of images.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// Normal images stand in ROOT itself or in ROOT/good (or ok, normal, in any case). Every other folder of
// images is a defect of its name; masks, where there are any, are ROOT/ground_truth/DEFECT/ID.png or
// ID_mask.png (or under ROOT/masks). The one category is named as the folder. With defects, every fifth good
// image is kept for the test (hold_out_good). Throws InputError naming the folder: no normal images, a defect
// of which some images have masks and some not, `categories` that name another one.
Dataset read_image_folder(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

}  // namespace dinomaly
