// A region of interest: scores, maps and thresholds are of what counts, and the model sees the rest, too.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dinomaly/evaluation/evaluate_official.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/inference/object_score.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/report/overlay.h"
#include "dinomaly/report/prediction_output.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

Image noise_of(int64_t width, int64_t height) {
  Image image(width, height, 3);
  uint32_t state = 1;
  for (uint8_t& value : image.pixels)
    value = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

double mean_of_largest(std::vector<float> values, double ratio) {
  std::sort(values.begin(), values.end(), std::greater<>());
  const auto count = std::max<size_t>(1, static_cast<size_t>(ratio * static_cast<double>(values.size())));
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += values[i];
  return sum / static_cast<double>(count);
}

RegionOfInterest roi_of(const std::string& text) { return RegionOfInterest::parse(text); }

std::vector<Sample> good_and_bad(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 1, options.good = 4, options.per_defect = 1;
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  return test_samples(read_mvtec(folder / "data"));
}

}  // namespace

TEST_CASE("counted: a region that is the image changes no bit, whole, cropped and in tiles") {
  const auto model = cropping_model();
  const Image image = noise_of(90, 70);
  for (const Inspection& inspection :
       {Inspection{}, Inspection{.area = Area::crop}, Inspection{.tiling = {40, 10}}}) {
    Inspection counted = inspection;
    counted.roi = roi_of("0,0,90,70");
    const Prediction all = Predictor(*model, inspection).predict(image),
                     same = Predictor(*model, counted).predict(image);
    CHECK(same.score == all.score);
    CHECK(same.map().to_vector<float>() == all.map().to_vector<float>());
  }
}

TEST_CASE("counted: the score is of the region's pixels, the map as it was inside and 0 outside") {
  const auto model = cropping_model();
  const Image image = noise_of(90, 70);
  for (const char* text : {"10,20,30,25", "50,5,36,60", "8,8,20,20+60,40,25,25", "70,60,3,2"}) {
    CAPTURE(text);
    for (const Area area : {Area::whole, Area::crop}) {
      const Predictor plain(*model, {.area = area}), predictor(*model, {.area = area, .roi = roi_of(text)});
      const Prediction all = plain.predict(image), part = predictor.predict(image);
      CHECK(part.inspected == all.inspected);
      CHECK(part.blurred.to_vector<float>() == all.blurred.to_vector<float>());
      const ImageConfig& config = predictor.config().image;
      const int64_t side = part.blurred.size(0);
      std::vector<float> values;
      for (int64_t i = 0; i < side * side; ++i) {
        const auto along = [&](int64_t at, int64_t size, int64_t resized, int64_t crop) {
          const double place =
              static_cast<double>(centre_crop_offset(resized, crop)) +
              (static_cast<double>(at) + 0.5) * static_cast<double>(crop) / static_cast<double>(side);
          return static_cast<int64_t>(place * static_cast<double>(size) / static_cast<double>(resized));
        };
        const int64_t x = along(i % side, 90, config.resize_w, config.crop_w),
                      y = along(i / side, 70, config.resize_h, config.crop_h);
        if (roi_of(text).inside({x, y, 1, 1})[0] != 0)
          values.push_back(part.blurred.contiguous().data<float>()[i]);
      }
      REQUIRE(!values.empty());
      CHECK(part.counted_values().to_vector<float>() == values);
      CHECK(part.score == doctest::Approx(mean_of_largest(values, model->config().score_ratio)));
      CHECK(part.score != all.score);
      const std::vector<uint8_t> inside = roi_of(text).inside({0, 0, 90, 70});
      const std::vector<float> map = part.map().to_vector<float>(), before = all.map().to_vector<float>();
      for (size_t i = 0; i < map.size(); ++i) CHECK(map[i] == (inside[i] != 0 ? before[i] : 0.0f));
    }
  }
}

TEST_CASE("counted: in tiles the worst is that of the region, and tiles without any of it have no say") {
  const auto model = small_model();
  const Image image = noise_of(130, 60);
  const Tiling tiling{50, 10};
  const Predictor all(*model, {tiling}), part(*model, {.tiling = tiling, .roi = roi_of("100,0,30,60")});
  const Prediction prediction = part.predict(image);
  double worst = -1;
  for (const Box& box : tile_boxes(130, 60, tiling)) {
    if (box.x + box.width <= 100) continue;
    Image tile(box.width, box.height, 3);
    for (int64_t y = 0; y < box.height; ++y)
      std::copy_n(image.at(box.x, box.y + y), 3 * box.width, tile.row(y));
    const std::string own = fmt::format("{},0,{},{}", std::max<int64_t>(100 - box.x, 0),
                                        box.width - std::max<int64_t>(100 - box.x, 0), box.height);
    worst = std::max(worst, Predictor(*model, {.tiling = {50, 10}, .roi = roi_of(own)}).predict(tile).score);
  }
  CHECK(prediction.score == doctest::Approx(worst));
  CHECK(prediction.score <= all.predict(image).score);
  CHECK_FALSE(prediction.counted_values().defined());
}

TEST_CASE("counted: an image that the region is not of has an error, the others their verdicts") {
  const auto model = cropping_model();
  const Predictor predictor(*model, {.roi = roi_of("50,0,20,20")});
  std::vector<InputImage> images(3);
  for (size_t i = 0; i < 3; ++i) {
    const Image image = noise_of(i == 1 ? 60 : 90, 70);
    images[i].path = fmt::format("{}.png", i);
    images[i].width = image.width, images[i].height = image.height;
    images[i].inputs = predictor.inputs(image);
  }
  const std::vector<Prediction> predictions = predictor.predict_each(images);
  CHECK(one_line_with(images[1].error,
                      "1.png: the region of interest (20 x 20 pixels at (50, 0)) is not inside"));
  CHECK(images[0].error.empty());
  CHECK(images[2].error.empty());
  CHECK(predictions[0].score == predictions[2].score);
  // The crop is the middle 56 of 64 pixels.
  const Predictor crop(*model, {.area = Area::crop, .roi = roi_of("0,0,64,3")});
  CHECK(one_line_with(input_error([&] { crop.predict(noise_of(64, 64)); }),
                      "lies outside of the 56 x 56 pixels at (4, 4) that are inspected"));
}

TEST_CASE("counted: an object's score is of what counts of its images") {
  const auto model = small_model();
  const Predictor predictor(*model, {.roi = roi_of("10,10,20,20")});
  std::vector<Tensor> values;
  std::vector<float> together;
  for (const int64_t side : {56, 80}) {
    const Prediction prediction = predictor.predict(noise_of(side, side));
    values.push_back(prediction.counted_values());
    const std::vector<float> own = values.back().to_vector<float>();
    together.insert(together.end(), own.begin(), own.end());
  }
  CHECK(values[0].numel() != values[1].numel());
  CHECK(object_score(values, 0.01, ObjectKind::views) == doctest::Approx(mean_of_largest(together, 0.01)));
  CHECK(object_score(values, 0.01, ObjectKind::pairs) ==
        doctest::Approx(mean_of_largest(values[0].to_vector<float>(), 0.01) +
                        mean_of_largest(values[1].to_vector<float>(), 0.01)));
}

TEST_CASE("counted: thresholds and colours are of the region, which is stored with the images' size") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = good_and_bad(folder);
  const auto model = small_model();
  CalibrationOptions options;
  options.false_alarm_rate = 0.2;
  options.inspection.roi = roi_of("5,8,30,20");
  const Calibration found = calibrate(*model, samples, options);
  CHECK(found.inspection.roi == roi_of("5,8,30,20").of_size(64, 64));
  const Predictor predictor(*model, found.inspection);
  std::vector<float> scores, peaks, medians;
  for (const Sample& sample : samples) {
    if (sample.anomalous) continue;
    const Prediction prediction = predictor.predict(load_image_rgb(sample.image));
    std::vector<float> inside = prediction.map().slice(0, 8, 28).slice(1, 5, 35).to_vector<float>();
    std::sort(inside.begin(), inside.end());
    scores.push_back(static_cast<float>(prediction.score));
    peaks.push_back(inside.back()), medians.push_back(inside[inside.size() / 2]);
  }
  CHECK(found.all.image == good_quantile(scores, 0.2));
  CHECK(found.all.pixel == good_quantile(peaks, 0.2));
  std::sort(medians.begin(), medians.end());
  CHECK(found.colours.low == doctest::Approx(medians[medians.size() / 2]));
  CHECK(Calibration::from_text(found.to_text(), "m") == found);
  const json shown = found.summary();
  CHECK(shown.at("roi") == json{{"size", {64, 64}}, {"boxes", {{5, 8, 30, 20}}}});
  for (const char* roi :
       {R"(5)", R"({"size": [64, 64]})", R"({"boxes": [[0, 0, 1, 1]]})",
        R"({"size": [64, 64], "boxes": [[0, 0, 65, 1]]})", R"({"size": [64, 64], "boxes": [[0, 0, 1]]})",
        R"({"size": [64, 64], "boxes": []})", R"({"size": [1e300, 64], "boxes": [[0, 0, 1, 1]]})",
        R"({"size": [64, 64], "boxes": [[0, 0, 18446744073709551615, 1]]})"}) {
    json damaged = found.to_json();
    damaged["roi"] = json::parse(roi);
    CHECK(one_line_with(input_error([&] { Calibration::from_json(damaged, "m"); }),
                        "'roi' of its calibration"));
  }
}

TEST_CASE("counted: F1 and AU-PRO leave out images whose defects all lie elsewhere") {
  const TemporaryFolder folder;
  std::vector<Sample> samples = good_and_bad(folder);
  Image corner(64, 64, 1);
  *corner.at(60, 60) = 255;
  save_png(folder / "corner.png", corner);
  const auto model = small_model();
  CalibrationOptions options;
  options.method = CalibrationMethod::f1;
  options.inspection.roi = roi_of("0,0,64,64");
  const int64_t all = calibrate(*model, samples, options).anomalous_images;
  const auto anomalous =
      std::find_if(samples.begin(), samples.end(), [](const Sample& s) { return s.anomalous; });
  anomalous->mask = folder / "corner.png";
  CHECK(calibrate(*model, samples, options).anomalous_images == all);
  options.inspection.roi = roi_of("0,0,64,50");
  const Calibration part = calibrate(*model, samples, options);
  CHECK(part.anomalous_images < all);
  CHECK(part.good_images == 4);

  OfficialEvaluation whole, upper(roi_of("0,0,64,50"));
  for (const Sample& sample : samples) {
    const Image mask = sample.mask ? load_mask(*sample.mask, 64, 64) : Image(64, 64, 1);
    std::vector<float> values(64 * 64);
    for (size_t i = 0; i < values.size(); ++i) values[i] = mask.pixels[i] != 0 ? 1.0f : 0.1f;
    values[63 * 64 + 5] = 2;  // below the region, on good images, too
    whole.add(sample, Tensor::from<float>(values, {64, 64}));
    upper.add(sample, Tensor::from<float>(values, {64, 64}));
  }
  CHECK(upper.left_out() >= 1);
  CHECK(whole.left_out() == 0);
  CHECK(whole.compute().image_auroc == 0.5);
  const OfficialMetrics inside = upper.compute();
  CHECK(inside.image_auroc == 1);
  CHECK(inside.aupro == doctest::Approx(1));
}

TEST_CASE("counted: images of several sizes have no thresholds in one region") {
  const TemporaryFolder folder;
  std::vector<Sample> samples(2);
  save_png(folder / "a.png", noise_of(64, 64)), save_png(folder / "b.png", noise_of(80, 64));
  samples[0].image = folder / "a.png", samples[1].image = folder / "b.png";
  CalibrationOptions options;
  options.inspection.roi = roi_of("0,0,30,30");
  const std::string why = input_error([&] { calibrate(*small_model(), samples, options); });
  CHECK_MESSAGE(
      one_line_with(why, "b.png: 80 x 64 pixels, and the region of interest is of images of 64 x 64"), why);
}

TEST_CASE("counted: an overlay is dark where nothing counts, and has no outline there") {
  const Image grey = [] {
    Image image(40, 30, 3);
    std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{100});
    return image;
  }();
  const Tensor map = Tensor::full({30, 40}, 0.9f);
  const Box all{0, 0, 40, 30};
  const std::vector<uint8_t> counted = roi_of("0,0,20,30").inside(all);
  const Image shown = draw_overlay(grey, map, all, {0, 1}, 0.5, 1, counted);
  for (const int64_t x : {25, 39}) CHECK(shown.at(x, 15)[0] == 50);
  CHECK(shown.at(10, 15)[0] > 100);
  CHECK(shown.at(19, 15)[0] == 255);  // the outline runs along the region's border
  CHECK(own_scale(map, all, counted).low == doctest::Approx(0.9));
}
