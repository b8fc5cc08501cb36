// How far the metrics could have come out otherwise with other test images: percentile intervals of the bootstrap
// (Efron and Tibshirani, 1993).
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/evaluation/evaluate.h"

namespace dinomaly {

struct BootstrapOptions {
  int64_t resamples = 1000;
  uint64_t seed = 1;  // the same seed gives the same intervals
};

struct MetricIntervals {
  AllMetrics low, high;  // 95 %; NaN where the metric is
};

struct Intervals {
  std::vector<MetricIntervals> categories;  // in the order of the results
  MetricIntervals mean;                     // of the categories' mean
};

// Each resample draws as many good and as many anomalous images of each category as there are, with replacement:
// an image with all of its pixels. Where images show objects (CategoryResult::objects) these are drawn instead, each
// with all of its images, since they are not independent. Resamples in which a metric is not defined, because all
// images of a sensor are good, do not count for it. Metrics of images are exact; those of pixels are counted in 500 bins of values,
// and the interval is moved by what binning changes of the metric of all images. Interval ends lie in [0, 1].
// `labels`: of each result's images, non-zero is anomalous.
Intervals bootstrap_intervals(const std::vector<CategoryResult>& results,
                              const std::vector<std::vector<uint8_t>>& labels,
                              const BootstrapOptions& options = {});

// The 95 % interval of a share of which `hits` of `count` were seen (Wilson, 1927); [0, 1] for none.
struct ShareInterval {
  double low = 0, high = 1;
};
ShareInterval share_interval(int64_t hits, int64_t count);

}  // namespace dinomaly
