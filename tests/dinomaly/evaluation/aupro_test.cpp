// AU-PRO in its two forms against their definitions, and the regions it counts against flooding.
#include "dinomaly/evaluation/aupro.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/connected_components.h"
#include "tensor/error.h"
#include "tests/dinomaly/evaluation/random_maps.h"

namespace dinomaly {

namespace {

// Regions by flooding, numbered in reading order.
std::vector<int32_t> flooded_regions(const uint8_t* mask, int64_t height, int64_t width) {
  std::vector<int32_t> labels(static_cast<size_t>(height * width), 0);
  int32_t count = 0;
  for (int64_t start = 0; start < height * width; ++start) {
    if (mask[start] == 0 || labels[start] != 0) continue;
    labels[start] = ++count;
    std::vector<int64_t> open{start};
    while (!open.empty()) {
      const int64_t y = open.back() / width, x = open.back() % width;
      open.pop_back();
      for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, height - 1); ++v) {
        for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, width - 1); ++u) {
          if (mask[v * width + u] == 0 || labels[v * width + u] != 0) continue;
          labels[v * width + u] = count;
          open.push_back(v * width + u);
        }
      }
    }
  }
  return labels;
}

struct ProPoint {
  double fpr, pro;
};

// FPR and PRO of "map is anomalous where `above(value)`", straight from their definition.
ProPoint measure(const RandomMaps& images, const std::function<bool(float)>& above) {
  double false_positives = 0, negatives = 0, overlap = 0, regions = 0;
  for (int64_t n = 0; n < images.count; ++n) {
    const int64_t pixels = images.height * images.width;
    const float* map = images.maps.data() + n * pixels;
    const std::vector<int32_t> labels =
        flooded_regions(images.masks.data() + n * pixels, images.height, images.width);
    const int32_t count = *std::max_element(labels.begin(), labels.end());
    for (int32_t region = 0; region <= count; ++region) {
      double size = 0, hits = 0;
      for (int64_t i = 0; i < pixels; ++i) {
        if (labels[i] != region) continue;
        size += 1;
        hits += above(map[i]) ? 1 : 0;
      }
      if (region == 0) {
        negatives += size;
        false_positives += hits;
      } else {
        regions += 1;
        overlap += hits / size;
      }
    }
  }
  return {false_positives / negatives, overlap / regions};
}

double brute_force_official(const RandomMaps& images) {
  const std::set<float, std::greater<>> values(images.maps.begin(), images.maps.end());
  ProPoint last{0, 0};
  double area = 0;
  for (const float threshold : values) {
    ProPoint point = measure(images, [threshold](float value) { return value >= threshold; });
    const bool past = point.fpr > 0.3;
    if (past) point = {0.3, last.pro + (point.pro - last.pro) * (0.3 - last.fpr) / (point.fpr - last.fpr)};
    area += (point.fpr - last.fpr) * (point.pro + last.pro) / 2;
    last = point;
    if (past) break;
  }
  return area / 0.3;
}

double brute_force_paper(const RandomMaps& images) {
  const auto [low, high] = std::minmax_element(images.maps.begin(), images.maps.end());
  const double step = (double{*high} - double{*low}) / 200;
  std::vector<ProPoint> points;
  for (int i = 0; i < 200; ++i) {
    const double threshold = double{*low} + i * step;
    const ProPoint point = measure(images, [threshold](float value) { return value > threshold; });
    if (point.fpr < 0.3) points.push_back(point);
  }
  double area = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    area += (points[i - 1].fpr - points[i].fpr) * (points[i - 1].pro + points[i].pro) / 2;
  }
  return area / points[0].fpr;
}

}  // namespace

TEST_CASE("connected components equal flooding") {
  uint64_t seed = 1;
  for (const double density : {0.0, 0.1, 0.3, 0.4, 0.6, 0.9, 1.0}) {
    for (const auto& [height, width] : {std::pair{1, 40}, {40, 1}, {2, 2}, {23, 31}, {40, 57}}) {
      const RandomMaps image = random_maps(1, height, width, density, 4, seed++);
      const Regions regions = connected_components(image.masks, height, width);
      CHECK(regions.labels == flooded_regions(image.masks.data(), height, width));
      for (size_t i = 0; i < regions.sizes.size(); ++i) {
        CHECK(regions.sizes[i] ==
              std::count(regions.labels.begin(), regions.labels.end(), static_cast<int32_t>(i + 1)));
      }
    }
  }
  CHECK(connected_components({}, 0, 7).sizes.empty());
  CHECK_THROWS_AS(connected_components(std::vector<uint8_t>(6), 2, 4), Error);
}

TEST_CASE("AU-PRO equals its definition") {
  uint64_t seed = 100;
  for (const double density : {0.02, 0.2, 0.5}) {
    for (const int levels : {1, 3, 30, 100'000}) {
      const RandomMaps images = random_maps(3, 9, 14, density, levels, seed++);
      CAPTURE(density);
      CAPTURE(levels);
      const auto& [count, height, width, maps, masks] = images;
      CHECK(std::abs(aupro_official(maps, masks, count, height, width) - brute_force_official(images)) <
            1e-12);
      const double paper = brute_force_paper(images), own = aupro_paper(maps, masks, count, height, width);
      if (std::isnan(paper))
        CHECK(std::isnan(own));
      else
        CHECK(std::abs(own - paper) < 1e-12);
    }
  }
}

TEST_CASE("AU-PRO of the paper: a value equal to a threshold is not above it") {
  RandomMaps images = random_maps(3, 9, 14, 0.3, 8, 77);
  Generator generator(78);  // whole numbers from 0 to 200: the thresholds are 0, 1, .., 199
  for (float& value : images.maps) value = static_cast<float>(generator.below(201));
  images.maps.front() = 0;
  const auto defect = std::find(images.masks.begin() + 1, images.masks.end(), 255);
  images.maps[static_cast<size_t>(defect - images.masks.begin())] = 200;
  float highest = 200;  // normal pixels of 200 and 199: the curve's first two points differ
  for (size_t i = 1; i < images.maps.size() && highest >= 199; ++i) {
    if (images.masks[i] == 0) images.maps[i] = highest--;
  }
  const auto& [count, height, width, maps, masks] = images;
  CHECK(std::abs(aupro_paper(maps, masks, count, height, width) - brute_force_paper(images)) < 1e-12);
}

TEST_CASE("AU-PRO of the paper: a false positive rate of exactly 0.3 is outside") {
  // Ten normal pixels, thresholds 0, 1, .., 199. The curve's points are (0.1, 1/2) and (0.2, 1/2); the third
  // normal pixel would add (0.3, 1/2), and the defect's other half comes later.
  std::vector<float> map{200, 199, 198, 0, 0, 0, 0, 0, 0, 0, 200, 100};
  std::vector<uint8_t> mask{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
  CHECK(std::abs(aupro_paper(map, mask, 1, 1, 12) - 0.1 * 0.5 / 0.2) < 1e-12);
}

TEST_CASE("AU-PRO of images that differ in size") {
  // One defect of one pixel, above all but one of the ten normal ones: PRO is 0 up to FPR 0.1, then 1.
  OfficialAupro aupro;
  aupro.add(std::vector<float>{0, 1, 2, 3}, std::vector<uint8_t>(4), 2, 2);
  aupro.add(std::vector<float>{4, 5, 8, 7, 6, 9, 0}, std::vector<uint8_t>{0, 0, 1, 0, 0, 0, 0}, 1, 7);
  CHECK(std::abs(aupro.compute() - 2.0 / 3) < 1e-12);
  CHECK(std::abs(aupro.compute(1.0) - 0.9) < 1e-12);
}

}  // namespace dinomaly
