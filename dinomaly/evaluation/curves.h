// The curves behind the metrics, for drawing: exact for images, from a histogram of values for pixels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dinomaly {

struct CurvePoint {
  double x = 0, y = 0;
};
using Curve = std::vector<CurvePoint>;

// (FPR, TPR) from (0, 0) to (1, 1) and (recall, precision) from the highest score down, a point a distinct
// score. Empty where a class is absent. Finite scores only.
Curve roc_curve(std::span<const float> scores, std::span<const uint8_t> labels);
Curve pr_curve(std::span<const float> scores, std::span<const uint8_t> labels);

// At most `most` points, the first and the last among them, that stand about equally far apart
// along the curve.
Curve thinned(const Curve& curve, size_t most);

// How many normal and defective pixels have which value; sums of such counts are those of all images.
class PixelCounts {
 public:
  // Values outside [low, high] count as the nearest of them. low < high.
  PixelCounts(double low, double high, size_t bins = 2000);
  // map and mask are (height, width); a region is an 8-connected set of non-zero mask pixels.
  void add(std::span<const float> map, std::span<const uint8_t> mask, int64_t height, int64_t width);
  // Of the same bins.
  void add(const PixelCounts& other);

  // A point a bin, from the highest value down; empty where there are only normal or only defective pixels.
  Curve roc() const;
  Curve pr() const;
  Curve pro() const;  // (FPR, mean share of each region's pixels), up to an FPR of 0.3

 private:
  bool complete() const { return normal_total_ > 0 && defective_total_ > 0; }

  double low_, high_;
  std::vector<uint64_t> normal_, defective_;
  std::vector<double> coverage_;  // 1 / region size, summed
  uint64_t normal_total_ = 0, defective_total_ = 0, regions_ = 0;
};

}  // namespace dinomaly
