// Area under the per-region-overlap curve, up to a false positive rate of 0.3 (Bergmann et al., IJCV 2021).
// A region is an 8-connected set of non-zero mask pixels; PRO at a threshold is the mean over all
// regions of the share of their pixels above it; FPR counts all pixels outside the masks, those of
// normal images included.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dinomaly {

// The published Dinomaly code's: 200 thresholds min + i (max - min) / 200 in double, "map > threshold", only
// points with FPR < 0.3, their FPR divided by the largest of them, trapezoids. NaN where every kept point has
// an FPR of 0: the published formula divides 0 by 0.
// maps and masks are (count, height, width). Throws Error if sizes differ, InputError if a map holds NaN or
// infinity or there are only defective or only normal pixels.
double aupro_paper(std::span<const float> maps, std::span<const uint8_t> masks, int64_t count, int64_t height,
                   int64_t width);

// MVTec AD's own: the exact curve over every distinct value, from (0, 0), interpolated linearly at the limit,
// trapezoids, divided by the limit. Images are added one by one and may differ in size; what is kept is 4
// bytes a normal and 8 a defective pixel, and compute() takes as much again.
class OfficialAupro {
 public:
  // map and mask are (height, width), and so is `counted`, unless it is empty: pixels where it is 0 do not exist, neither as
  // normal nor as part of a region. Throws Error if their sizes differ, InputError on NaN or infinity.
  void add(std::span<const float> map, std::span<const uint8_t> mask, int64_t height, int64_t width,
           std::span<const uint8_t> counted = {});
  // Throws InputError if only defective or only normal pixels were added. 0 < fpr_limit <= 1.
  double compute(double fpr_limit = 0.3);

 private:
  std::vector<uint64_t> positives_;  // descending_key(value) << 32 | region
  std::vector<uint32_t> negatives_;  // descending_key(value)
  std::vector<int64_t> region_sizes_;
};

// OfficialAupro of maps and masks (count, height, width).
double aupro_official(std::span<const float> maps, std::span<const uint8_t> masks, int64_t count,
                      int64_t height, int64_t width);

}  // namespace dinomaly
