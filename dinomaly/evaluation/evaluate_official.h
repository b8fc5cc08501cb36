// MVTec AD's own evaluation, from anomaly maps that any method has written as TIFF files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/image/region_of_interest.h"
#include "tensor/tensor.h"

namespace dinomaly {

struct OfficialMetrics {
  double aupro = 0;        // exact, over all pixels at the original size, up to an FPR of 0.3
  double image_auroc = 0;  // of each map's maximum
};

// Takes the images of one category one by one.
class OfficialEvaluation {
 public:
  // Nothing outside of the region counts; a map's maximum is that of the region. An image whose defects all lie
  // outside is neither good nor anomalous in it and is left out.
  explicit OfficialEvaluation(RegionOfInterest roi = {}) : roi_(std::move(roi)) {}
  // map (height, width) f32 of the sample, in the size of its mask (a good one: any size). Throws InputError
  // naming a mask that is damaged or of another size, and an image that the region cannot be of.
  void add(const Sample& sample, const Tensor& map);
  // Where an anomalous image had no mask, `aupro` is NaN. Throws InputError where a class is absent.
  OfficialMetrics compute();
  // Images that were left out.
  int64_t left_out() const { return left_out_; }

 private:
  RegionOfInterest roi_;
  int64_t left_out_ = 0;
  OfficialAupro aupro_;
  bool masks_known_ = true;
  std::vector<float> scores_;
  std::vector<uint8_t> labels_;
};

// MAPS/CATEGORY/test/DEFECT/ID.tiff, "good" included: where the map of a sample stands.
std::filesystem::path map_path(const std::filesystem::path& maps, const Sample& sample);

// The maps of one category stand at map_path(). One map is held at a time. Throws InputError naming a file
// that is missing, damaged or of another size than its mask.
OfficialMetrics evaluate_official(const std::filesystem::path& maps, const Category& category,
                                  const RegionOfInterest& roi = {});

}  // namespace dinomaly
