#include "dinomaly/report/gallery.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "dinomaly/base/parallel.h"
#include "dinomaly/image/image_map.h"
#include "dinomaly/image/resize.h"
#include "dinomaly/inference/prediction.h"
#include "dinomaly/report/overlay.h"
#include "dinomaly/report/shown_sample.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr int64_t view_side = 320;
constexpr int jpeg_quality = 82;

Image shrink(const Image& image) {
  const double scale = std::min(
      1.0, static_cast<double>(view_side) / static_cast<double>(std::max(image.width, image.height)));
  const auto scaled = [&](int64_t side) {
    return std::max<int64_t>(1, std::llround(static_cast<double>(side) * scale));
  };
  const int64_t width = scaled(image.width), height = scaled(image.height);
  return resize_pil(image, {.resize_h = height, .resize_w = width, .crop_h = height, .crop_w = width});
}

std::string jpeg_uri(const Image& image) {
  return "data:image/jpeg;base64," + base64(encode_jpeg(image, jpeg_quality));
}

struct Entry {
  const Sample* sample;
  Tensor map;  // (S, S)
};

struct SampleViews {
  std::string image, overlay, mask;
};

// The flags that draw_overlay() takes.
std::vector<uint8_t> counted_of(const HtmlReportInput& input, const Image& crop) {
  if (!input.roi.on()) return {};
  const MapPlace place = place_of_crop(input.config.image, input.roi.width(), input.roi.height());
  std::vector<uint8_t> counted(static_cast<size_t>(crop.width * crop.height));
  for (const int64_t pixel : input.roi.on_map(place, crop.height, crop.width))
    counted[static_cast<size_t>(pixel)] = 1;
  return counted;
}

SampleViews draw_views(const Entry& entry, const HtmlReportInput& input, const ColourScale& colours,
                       double pixel_threshold) {
  ShownSample shown = load_shown_sample(*entry.sample, input.config.image);
  const Image& crop = shown.rgb;
  const Tensor map = resize_map(entry.map, crop.width, crop.height);
  SampleViews result;
  result.image = jpeg_uri(shrink(crop));
  const Box all{0, 0, crop.width, crop.height};
  result.overlay = jpeg_uri(shrink(
      draw_overlay(crop, map, all, colours, pixel_threshold, smallest_shown(all), counted_of(input, crop))));
  if (shown.mask) {
    for (uint8_t& pixel : shown.mask->pixels) pixel = pixel > 0 ? 255 : 0;
    result.mask = "data:image/png;base64," + base64(encode_png(shrink(*shown.mask)));
  }
  return result;
}

// How far an image is on the wrong side of the threshold; negative if it is on the right side.
double error_of(double score, bool anomalous, double threshold) {
  return anomalous ? threshold - score : score - threshold;
}

}  // namespace

std::string base64(const std::string& bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) text += j <= count ? letters[group >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

void add_gallery(json& samples, const HtmlReportInput& input, const ColourScale& colours, double threshold) {
  std::vector<Entry> entries;
  for (size_t c = 0; c < input.results.size(); ++c) {
    const std::vector<Sample>& test = input.dataset.categories[c].test;
    for (size_t i = 0; i < test.size(); ++i) {
      entries.push_back({&test[i], input.results[c].maps.select(0, static_cast<int64_t>(i))});
    }
  }
  check(entries.size() == samples.size(), "gallery: {} samples of {} images", samples.size(), entries.size());
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return error_of(samples[a]["score"], samples[a]["bad"], threshold) >
           error_of(samples[b]["score"], samples[b]["bad"], threshold);
  });
  order.resize(std::min(order.size(), static_cast<size_t>(input.images)));

  const double pixel_threshold = input.calibration ? input.calibration->all.pixel : INFINITY;
  std::vector<SampleViews> views(order.size());
  for_each_in_parallel(order.size(), [&](size_t i) {
    views[i] = draw_views(entries[order[i]], input, colours, pixel_threshold);
  });
  for (size_t i = 0; i < order.size(); ++i) {
    json& sample = samples[order[i]];
    sample["image"] = std::move(views[i].image);
    sample["overlay"] = std::move(views[i].overlay);
    if (!views[i].mask.empty()) sample["mask"] = std::move(views[i].mask);
  }
}

}  // namespace dinomaly
