// MVTec AD's own evaluation, from anomaly maps that any method has written as TIFF files.
#pragma once

#include <filesystem>

#include "dinomaly/data/mvtec.h"

namespace dinomaly {

struct OfficialMetrics {
  double aupro = 0;        // exact, over all pixels at the original size, up to an FPR of 0.3
  double image_auroc = 0;  // of each map's maximum
};

// The maps of one category stand at MAPS/CATEGORY/test/DEFECT/ID.tiff, "good" included, in the size of their
// pictures' masks (good ones: any size). One map is held at a time. Throws InputError naming a file that is
// missing, damaged or of another size than its mask.
OfficialMetrics evaluate_official(const std::filesystem::path& maps, const Category& category);

}  // namespace dinomaly
