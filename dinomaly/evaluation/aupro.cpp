#include "dinomaly/evaluation/aupro.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/radix_sort.h"
#include "dinomaly/evaluation/thresholds.h"
#include "dinomaly/image/connected_components.h"
#include "tensor/error.h"

namespace dinomaly {
namespace {

constexpr double paper_fpr_limit = 0.3;
constexpr int paper_thresholds = 200;

void check_sizes(size_t map_pixels, size_t mask_pixels, int64_t count, int64_t height, int64_t width) {
  check(count >= 0 && height >= 0 && width >= 0, "aupro: negative sizes {} x {} x {}", count, height, width);
  const auto pixels = static_cast<unsigned __int128>(count) * static_cast<uint64_t>(height);
  const bool fits = pixels <= std::numeric_limits<uint64_t>::max() &&
                    pixels * static_cast<uint64_t>(width) == map_pixels && map_pixels == mask_pixels;
  check(fits, "aupro: {} values and {} mask pixels are not {} x {} x {}", map_pixels, mask_pixels, count,
        height, width);
}

void check_values(std::span<const float> values) {
  const auto bad =
      std::find_if_not(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  check_input(bad == values.end(), "aupro: the map holds {}", bad == values.end() ? 0.0f : *bad);
}

// The 200 thresholds, and how many of them a value exceeds.
class PaperThresholds {
 public:
  PaperThresholds(double low, double high) : low_(low), step_((high - low) / paper_thresholds) {
    for (int i = 0; i < paper_thresholds; ++i) values_[i] = low + i * step_;
  }
  int exceeded(double value) const {
    if (!(step_ > 0)) return 0;
    // The quotient, cut, is that number or one less: the thresholds themselves decide.
    int count = static_cast<int>(std::clamp((value - low_) / step_, 0.0, double{paper_thresholds}));
    while (count < paper_thresholds && values_[count] < value) ++count;
    return count;
  }

 private:
  double low_, step_;
  std::array<double, paper_thresholds> values_{};
};

// Element c: negatives, and summed 1 / region size of positives, that exceed exactly c thresholds.
struct PaperCounts {
  std::array<uint64_t, paper_thresholds + 1> negatives{};
  std::array<double, paper_thresholds + 1> coverage{};
  uint64_t negative_total = 0, regions = 0;
};

void count_image(std::span<const float> map, std::span<const uint8_t> mask, int64_t height, int64_t width,
                 const PaperThresholds& thresholds, PaperCounts& counts) {
  const Regions regions = connected_components(mask, height, width);
  counts.regions += regions.sizes.size();
  for (size_t i = 0; i < map.size(); ++i) {
    const int exceeded = thresholds.exceeded(map[i]);
    const int32_t label = regions.labels[i];
    if (label == 0) {
      ++counts.negatives[exceeded];
      ++counts.negative_total;
    } else {
      counts.coverage[exceeded] += 1.0 / static_cast<double>(regions.sizes[label - 1]);
    }
  }
}

}  // namespace

double aupro_paper(std::span<const float> maps, std::span<const uint8_t> masks, int64_t count, int64_t height,
                   int64_t width) {
  check_sizes(maps.size(), masks.size(), count, height, width);
  check_values(maps);
  check_input(!maps.empty(), "aupro: no maps");
  const auto [low, high] = std::minmax_element(maps.begin(), maps.end());
  const PaperThresholds thresholds(*low, *high);
  PaperCounts counts;
  const size_t pixels = static_cast<size_t>(height * width);
  for (size_t i = 0; i < maps.size(); i += pixels) {
    count_image(maps.subspan(i, pixels), masks.subspan(i, pixels), height, width, thresholds, counts);
  }
  check_input(counts.regions > 0, "aupro: the masks show no defect");
  check_input(counts.negative_total > 0, "aupro: the masks show no normal pixel");

  // From the highest threshold down, FPR and PRO grow; the area is that of the points below the limit.
  double area = 0, coverage = 0, last_fpr = 0, last_pro = 0;
  uint64_t false_positives = 0;
  for (int i = paper_thresholds - 1; i >= 0; --i) {
    false_positives += counts.negatives[i + 1];
    coverage += counts.coverage[i + 1];
    const double fpr = static_cast<double>(false_positives) / static_cast<double>(counts.negative_total);
    const double pro = coverage / static_cast<double>(counts.regions);
    if (!(fpr < paper_fpr_limit)) break;
    if (i < paper_thresholds - 1) area += (fpr - last_fpr) * (pro + last_pro) / 2;
    last_fpr = fpr;
    last_pro = pro;
  }
  return last_fpr > 0 ? area / last_fpr : std::numeric_limits<double>::quiet_NaN();
}

void OfficialAupro::add(std::span<const float> map, std::span<const uint8_t> mask, int64_t height,
                        int64_t width, std::span<const uint8_t> counted) {
  check_sizes(map.size(), mask.size(), 1, height, width);
  check_values(map);
  std::vector<uint8_t> inside;
  if (!counted.empty()) {
    check_sizes(counted.size(), mask.size(), 1, height, width);
    inside.assign(mask.begin(), mask.end());
    for (size_t i = 0; i < inside.size(); ++i) inside[i] = counted[i] != 0 ? inside[i] : uint8_t{0};
    mask = inside;
  }
  const Regions regions = connected_components(mask, height, width);
  const size_t first_region = region_sizes_.size();
  check(first_region + regions.sizes.size() <= std::numeric_limits<uint32_t>::max(),
        "aupro: too many regions");
  region_sizes_.insert(region_sizes_.end(), regions.sizes.begin(), regions.sizes.end());
  for (size_t i = 0; i < map.size(); ++i) {
    if (!counted.empty() && counted[i] == 0) continue;
    const uint32_t key = descending_key(map[i]);
    const int32_t label = regions.labels[i];
    if (label == 0)
      negatives_.push_back(key);
    else
      positives_.push_back(uint64_t{key} << 32 | (first_region + static_cast<uint32_t>(label) - 1));
  }
}

double OfficialAupro::compute(double fpr_limit) {
  check(fpr_limit > 0 && fpr_limit <= 1, "aupro: a limit of {} is not in (0, 1]", fpr_limit);
  check_input(!positives_.empty(), "aupro: the masks show no defect");
  check_input(!negatives_.empty(), "aupro: the masks show no normal pixel");
  radix_sort(positives_);
  radix_sort(negatives_);
  // In units of one negative (x) and one region (y). Between two thresholds that positives have, the curve is
  // level; at one, it rises along a straight line over the negatives that share the score.
  const double limit = fpr_limit * static_cast<double>(negatives_.size());
  double area = 0, height = 0, x = 0;
  for_each_threshold<uint64_t>(positives_, negatives_, [&](const Threshold& at) {
    if (x >= limit) return;
    const double begin = static_cast<double>(at.negatives_above);
    area += (std::min(begin, limit) - x) * height;
    double rise = 0;
    for (size_t i = at.begin; i < at.end; ++i) {
      rise += 1.0 / static_cast<double>(region_sizes_[static_cast<uint32_t>(positives_[i])]);
    }
    const double run = static_cast<double>(at.negatives_equal);
    const double kept = std::clamp(limit - begin, 0.0, run);
    if (kept > 0) area += kept * (height + rise * kept / run / 2);
    height += rise;
    x = begin + run;
  });
  if (x < limit) area += (limit - x) * height;
  return area / limit / static_cast<double>(region_sizes_.size());
}

double aupro_official(std::span<const float> maps, std::span<const uint8_t> masks, int64_t count,
                      int64_t height, int64_t width) {
  check_sizes(maps.size(), masks.size(), count, height, width);
  OfficialAupro aupro;
  const size_t pixels = static_cast<size_t>(height * width);
  for (size_t i = 0; i < maps.size(); i += pixels) {
    aupro.add(maps.subspan(i, pixels), masks.subspan(i, pixels), height, width);
  }
  return aupro.compute();
}

}  // namespace dinomaly
