// Thresholds from good images and from labelled ones.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

using namespace dinomaly;

TEST_CASE("calibration: the quantile is the conformal one") {
  std::vector<float> scores(99);
  std::iota(scores.begin(), scores.end(), 1.0f);
  CHECK(good_quantile(scores, 0.01) == 99);  // ceil(100 * 0.99)
  CHECK(good_quantile(scores, 0.05) == 95);
  CHECK(good_quantile(scores, 0.5) == 50);
  CHECK(promised_rate(99, 0.01) == doctest::Approx(0.01));
  CHECK(promised_rate(99, 0.05) == doctest::Approx(0.05));
  // 1000 * (1 - 0.059) is a little above 941 in double; it is the 941st all the same.
  std::vector<float> many(999);
  std::iota(many.begin(), many.end(), 1.0f);
  CHECK(good_quantile(many, 0.059) == 941);
  CHECK(promised_rate(999, 0.059) == doctest::Approx(0.059));
  CHECK(good_quantile({3, 1, 2}, 0.01) == 3);  // too few for the rate: the largest
  CHECK(promised_rate(3, 0.01) == doctest::Approx(0.25));
  CHECK(one_line_with(input_error([] { good_quantile({}, 0.01); }), "good image"));
  CHECK(one_line_with(input_error([] { good_quantile({1}, 0); }), "--false-alarm-rate"));
  CHECK(one_line_with(input_error([] { good_quantile({1}, 1); }), "--false-alarm-rate"));
}

TEST_CASE("calibration: fresh good scores exceed the threshold as rarely as stated") {
  Generator generator(5);
  int64_t above = 0, total = 0;
  for (int run = 0; run < 400; ++run) {
    const auto scores = Tensor::normal({60}, 0, 1, generator).to_vector<float>();
    const double threshold = good_quantile({scores.begin(), scores.begin() + 40}, 0.1);
    for (size_t i = 40; i < scores.size(); ++i) above += scores[i] > threshold, ++total;
  }
  const double rate = static_cast<double>(above) / static_cast<double>(total);
  CHECK(rate < 0.11);
  CHECK(rate > 0.08);
}

TEST_CASE("calibration: the threshold of the best F1 reaches f1_max") {
  Generator generator(6);
  for (int run = 0; run < 20; ++run) {
    std::vector<float> scores = Tensor::normal({50}, 0, 1, generator).to_vector<float>();
    std::vector<uint8_t> labels(50);
    for (size_t i = 0; i < 50; ++i) {
      labels[i] = i % 3 == 0;
      scores[i] = std::round(4 * (scores[i] + labels[i])) / 4;  // with ties
    }
    const double threshold = best_f1_threshold(scores, labels);
    double hits = 0, called = 0, positives = 0;
    for (size_t i = 0; i < 50; ++i) {
      hits += scores[i] > threshold && labels[i], called += scores[i] > threshold, positives += labels[i];
    }
    CHECK(2 * hits / (called + positives) == doctest::Approx(f1_max(scores, labels)).epsilon(1e-6));
  }
  CHECK(best_f1_threshold(std::vector<float>{1, 2, 5, 6}, std::vector<uint8_t>{0, 0, 1, 1}) == 3.5);
  // One image called anomalous or four: F1 is 2/3 either way, and the highest such threshold is taken.
  CHECK(best_f1_threshold(std::vector<float>{1, 2, 3, 4, 5}, std::vector<uint8_t>{0, 1, 0, 0, 1}) == 4.5);
  CHECK(one_line_with(input_error([] { best_f1_threshold(std::vector<float>{1}, std::vector<uint8_t>{1}); }),
                      "all are anomalous"));
}

namespace {

Dataset labelled_data(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 3, options.good = 4, options.per_defect = 1;
  options.categories = {"weave", "wood"};
  make_dataset(folder / "data", options);
  return read_mvtec(folder / "data");
}

}  // namespace

TEST_CASE("calibration: good images alone, for all and for each category") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = test_samples(labelled_data(folder));
  const auto model = small_model();
  CalibrationOptions options;
  options.per_category = true;
  options.false_alarm_rate = 0.4;
  int64_t images = 0;
  options.progress = [&] { ++images; };
  const Calibration found = calibrate(*model, samples, options);
  CHECK(images == 8);
  CHECK(found.good_images == 8);
  CHECK(found.anomalous_images == 0);
  CHECK(found.categories.size() == 2);
  CHECK(found.of("weave").image == found.categories.at("weave").image);
  CHECK(found.of("unknown").image == found.all.image);

  std::vector<Sample> weave;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(weave),
               [](const Sample& sample) { return sample.category == "weave"; });
  const Thresholds alone = calibrate(*model, weave, options).all;
  CHECK(found.categories.at("weave").image == alone.image);
  CHECK(found.categories.at("weave").pixel == alone.pixel);
  CHECK(alone.image != found.all.image);

  const Predictor predictor(*model);
  std::vector<float> medians;
  int64_t above = 0, with_region = 0, good = 0;
  for (const Sample& sample : samples) {
    if (sample.anomalous) continue;
    const Prediction prediction = predictor.predict(load_image_rgb(sample.image));
    auto values = prediction.map().to_vector<float>();
    std::sort(values.begin(), values.end());
    medians.push_back(values[values.size() / 2]);
    ++good;
    above += prediction.score > found.all.image;
    with_region += *std::max_element(values.begin(), values.end()) > found.all.pixel;
  }
  // ceil(9 * 0.6) = 6 of 8 are not above.
  CHECK(good == 8);
  CHECK(above == 2);
  CHECK(with_region == 2);
  std::sort(medians.begin(), medians.end());
  CHECK(found.colours.low == doctest::Approx(medians[medians.size() / 2]).epsilon(1e-5));
  CHECK(found.colours.low < found.all.pixel);
  CHECK((found.colours.low + found.colours.high) / 2 == doctest::Approx(found.all.pixel));
}

TEST_CASE("calibration: F1 on labelled images; errors; JSON and back") {
  const TemporaryFolder folder;
  std::vector<Sample> samples = test_samples(labelled_data(folder));
  const auto model = small_model();
  CalibrationOptions options;
  options.method = CalibrationMethod::f1;
  const Calibration found = calibrate(*model, samples, options);
  CHECK(found.good_images == 8);
  CHECK(found.anomalous_images == 10);

  // The images are small enough that every pixel counts.
  std::vector<float> pixels;
  std::vector<uint8_t> labels;
  for (const Sample& sample : samples) {
    const Prediction prediction = Predictor(*model).predict(load_image_rgb(sample.image));
    const auto values = prediction.map().to_vector<float>();
    pixels.insert(pixels.end(), values.begin(), values.end());
    Image mask(64, 64, 1);
    if (sample.mask) mask = load_mask(*sample.mask, 64, 64);
    labels.insert(labels.end(), mask.pixels.begin(), mask.pixels.end());
  }
  CHECK(found.all.pixel == doctest::Approx(best_f1_threshold(pixels, labels)).epsilon(1e-5));

  const Calibration back = Calibration::from_json(found.to_json(), "model");
  // What a model saved under an earlier name of these counts says is read all the same.
  nlohmann::json earlier = found.to_json();
  earlier["good_pictures"] = earlier["good_images"], earlier.erase("good_images");
  earlier["anomalous_pictures"] = earlier["anomalous_images"], earlier.erase("anomalous_images");
  CHECK(Calibration::from_json(earlier, "model") == found);
  CHECK(back.to_json() == found.to_json());
  for (const char* name : {"method", "colours", "thresholds", "tile", "false_alarm_rate"}) {
    nlohmann::json broken = found.to_json();
    broken.erase(name);
    CHECK(one_line_with(input_error([&] { Calibration::from_json(broken, "model"); }), "model"));
    broken[name] = "x";
    CHECK(one_line_with(input_error([&] { Calibration::from_json(broken, "model"); }), ""));
    CHECK(!input_error([&] { Calibration::from_json(broken, "model"); }).empty());
  }
  CHECK(!input_error([] { Calibration::from_json(nlohmann::json(3), "model"); }).empty());
  CHECK(found.images.size() == 18);
  CHECK_FALSE(found.summary().contains("images"));
  for (const auto& [name, value] :
       {std::pair("area", nlohmann::json("half")), std::pair("area", nlohmann::json(1)),
        std::pair("images", nlohmann::json("x")), std::pair("images", nlohmann::json({1}))}) {
    nlohmann::json broken = found.to_json();
    broken[name] = value;
    CHECK(!input_error([&] { Calibration::from_json(broken, "model"); }).empty());
  }

  for (Sample& sample : samples) sample.mask.reset();  // without masks the pixels follow the good images
  CHECK(calibrate(*model, samples, options).all.image == found.all.image);
  std::erase_if(samples, [](const Sample& sample) { return !sample.anomalous; });
  CHECK(one_line_with(input_error([&] { calibrate(*model, samples); }), "good image"));
  CHECK(one_line_with(input_error([&] { parse_calibration_method("other"); }), "other"));
}

TEST_CASE("calibration: an image whose score is not a number is named") {
  Calibrator calibrator({}, {}, small_model()->config());
  Sample sample;
  sample.image = "good/007.png";
  Prediction prediction;
  prediction.score = NAN;
  calibrator.add(sample, prediction);
  CHECK(one_line_with(input_error([&] { calibrator.compute(); }), "good/007.png"));
}

TEST_CASE("calibration: a damaged image is named") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = test_samples(labelled_data(folder));
  write_file(folder / "data/wood/test/good/001.png", "no image");
  const auto model = small_model();
  CHECK(one_line_with(input_error([&] { calibrate(*model, samples); }), "good/001.png"));
}

TEST_CASE("calibration: objects have a threshold of their own, found on good objects alone") {
  // Twelve objects of two views; view v of object o has score 0.1 o + 0.01 v in all of its map. Of the last object one
  // view is anomalous: its other view is a good image, but of no good object.
  std::vector<Sample> samples;
  for (int i = 0; i < 24; ++i) {
    Sample sample{.category = "toy", .id = fmt::format("{}", i)};
    sample.object = fmt::format("{}", i / 2), sample.grouping = Grouping::views;
    sample.anomalous = i == 23;
    samples.push_back(sample);
  }
  const TemporaryFolder folder;
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].image = folder / fmt::format("{}.png", i);
    Image image(2, 2, 3);
    image.pixels[0] = static_cast<uint8_t>(i);
    save_png(samples[i].image, image);
  }
  const auto model = small_model();
  const Prediction any = Predictor(*model).predict(Image(64, 64, 3));
  const auto found_with = [&](CalibrationMethod method, Grouping grouping) {
    CalibrationOptions options;
    options.method = method, options.false_alarm_rate = 0.25, options.per_category = true;
    Calibrator calibrator(options, samples, model->config());
    for (const size_t order : {size_t{1}, size_t{0}}) {  // not object after object
      for (size_t i = order; i < samples.size(); i += 2) {
        Sample sample = samples[i];
        sample.grouping = grouping;
        Prediction prediction = any;
        prediction.score = 0.1 * static_cast<double>(i / 2) + 0.01 * static_cast<double>(i % 2);
        prediction.blurred = Tensor::zeros({10, 10});
        std::fill_n(prediction.blurred.data<float>(), 100, static_cast<float>(prediction.score));
        calibrator.add(sample, prediction);
      }
    }
    return calibrator.compute();
  };
  const Calibration views = found_with(CalibrationMethod::good, Grouping::views);
  CHECK(views.objects == ObjectKind::views);
  CHECK(views.good_objects == 11);
  CHECK(views.good_images == 23);
  // ceil(12 * 0.75) = the ninth of eleven: object 8, whose highest view has 0.81.
  CHECK(views.all.object.value() == doctest::Approx(0.81));
  CHECK(views.categories.at("toy").object == views.all.object);
  const Calibration pairs = found_with(CalibrationMethod::good, Grouping::rgb_and_infrared);
  CHECK(pairs.objects == ObjectKind::pairs);
  CHECK(pairs.all.object.value() == doctest::Approx(0.80 + 0.81));
  const Calibration f1 = found_with(CalibrationMethod::f1, Grouping::views);
  CHECK(f1.all.object.value() == doctest::Approx((1.01 + 1.11) / 2));
  for (const Calibration& found : {views, pairs, f1}) {
    const Calibration read = Calibration::from_text(found.to_text(), "model");
    CHECK(read.all == found.all);
    CHECK(read.categories == found.categories);
    CHECK(read.objects == found.objects);
    CHECK(read.good_objects == found.good_objects);
  }
  for (const auto& [name, value] :
       {std::pair("objects", nlohmann::json("boxes")), std::pair("objects", nlohmann::json(1)),
        std::pair("good_objects", nlohmann::json(-1)),
        std::pair("thresholds", nlohmann::json{{"image", 1}, {"pixel", 1}, {"object", "x"}})}) {
    nlohmann::json broken = views.to_json();
    broken[name] = value;
    CHECK(!input_error([&] { Calibration::from_json(broken, "model"); }).empty());
  }
  // Object 8 under another name, its views in another order: it counts once, and so the ninth of eleven is as before.
  for (const int view : {17, 16}) {
    samples.push_back(samples.at(static_cast<size_t>(view)));
    samples.back().object = "copy";
    std::filesystem::copy_file(samples.back().image, folder / fmt::format("copy{}.png", view));
    samples.back().image = folder / fmt::format("copy{}.png", view);
  }
  const Calibration copied = found_with(CalibrationMethod::good, Grouping::views);
  CHECK(copied.good_objects == 11);
  CHECK(copied.all.object == views.all.object);
  const std::string repeats = Calibrator(CalibrationOptions{}, samples, model->config()).repeats();
  CHECK_MESSAGE(repeats.ends_with("; objects that equal others are not counted, either: copy (as 8)"),
                repeats);
  std::erase_if(
      samples, [](const Sample& sample) { return sample.object == "copy" || std::stoi(sample.object) < 11; });
  CHECK_FALSE(found_with(CalibrationMethod::good, Grouping::views).all.object);  // no good object
}
