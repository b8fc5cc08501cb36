// A plain folder of images.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// Normal images are in ROOT itself or in ROOT/good (or ok, normal, in any case). Every other folder of images
// is a defect named after it. Masks, if any, are ROOT/ground_truth/DEFECT/ID.png or ID_mask.png (or under
// ROOT/masks). ID_depth.tiff, .tif or .png beside ID.png is its depth; then all images must have one. The one category is named after the folder. If there are defects, every fifth good image is
// held out for testing (hold_out_good). Throws InputError naming the folder if it has no normal images, if
// only some images of a defect have masks, or if `categories` names another category.
Dataset read_image_folder(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// Whether a folder of images says by its name or its place that the parts in it are defective: one of the usual words is
// in its name ("NG_2024", "scratches"), or in that of a folder above it that stands beside one of good parts; or it
// lies in a data set's folder test, and not in its good part. The nearest folder that says something counts.
bool names_defects(const std::filesystem::path& folder);

}  // namespace dinomaly
