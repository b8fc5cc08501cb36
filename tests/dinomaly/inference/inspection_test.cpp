// What of an image is looked at: whole images, the centre crop, and defects at every border.
#include "dinomaly/image/inspection.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/anomaly_map.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/small_detector.h"

using namespace dinomaly;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Place {
  const char* name;
  int64_t x, y;  // -1, 0, 1: at the left or upper border, in the middle, at the right or lower border
};

constexpr Place borders[] = {{"upper left", -1, -1}, {"upper right", 1, -1}, {"lower left", -1, 1},
                             {"lower right", 1, 1},  {"top", 0, -1},         {"bottom", 0, 1},
                             {"left", -1, 0},        {"right", 1, 0}};

// A square of `size` pixels that touches the border.
void paint(Image& image, const Place& place, int64_t size) {
  const auto begin = [size](int64_t where, int64_t length) { return (length - size) * (where + 1) / 2; };
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      uint8_t* pixel = image.at(begin(place.x, image.width) + x, begin(place.y, image.height) + y);
      pixel[0] = (x / 2 + y / 2) % 2 == 0 ? 250 : 5, pixel[1] = 10, pixel[2] = 240;
    }
  }
}

Image plain(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(100 + i % 7);
  return image;
}

// Paints a defect at each border of a good image and returns the names of those that predict does not find.
std::string missed(const TemporaryFolder& folder, const fs::path& model, const fs::path& good, int64_t size) {
  const fs::path painted = folder / "painted";
  for (const Place& place : borders) {
    Image image = load_image_rgb(good);
    paint(image, place, size);
    save_png(painted / (std::string(place.name) + ".png"), image);
  }
  const Outcome outcome = run_well(folder, "predict " + model.string() + " " + painted.string() + " --json");
  std::string result;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    const json verdict = json::parse(line);
    CHECK(verdict.at("area") == "whole");
    if (verdict.at("anomalous") == false) result += verdict.at("image").get<std::string>() + "\n";
  }
  return result;
}

}  // namespace

TEST_CASE("inspection: a whole image is shown as crops of the size the model knows") {
  const SmallDetector detector(Preset::paper);  // 16 x 16, of which 12 x 12
  const Predictor whole(*detector.model), crop(*detector.model, {.area = Area::crop});
  const Image image = plain(16, 16);
  const Tensor inputs = whole.inputs(image);
  REQUIRE(inputs.shape() == Shape({4, 3, 12, 12}));
  const Tensor pixels = preprocess(image, whole.config().image);
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t y = i / 2 * 4, x = i % 2 * 4;
    CHECK(inputs.select(0, i).to_vector<float>() ==
          pixels.slice(1, y, y + 12).slice(2, x, x + 12).to_vector<float>());
  }
  CHECK(crop.inputs(image).shape() == Shape({1, 3, 12, 12}));
  CHECK(crop.inputs(image).to_vector<float>() == pixels.slice(1, 2, 14).slice(2, 2, 14).to_vector<float>());
  const Prediction prediction = whole.predict(image);
  CHECK(prediction.score == doctest::Approx(anomaly_score(prediction.blurred.unsqueeze(0), 0.01).item()));
  CHECK(prediction.blurred.shape() == Shape({256, 256}));
  CHECK(parse_area("whole") == Area::whole);
  CHECK(parse_area("crop") == Area::crop);
  CHECK(one_line_with(input_error([] { parse_area("half"); }), "--area: 'half'"));
  CHECK(one_line_with(input_error([] { validate(Inspection{{64, 16}, Area::crop}); }), "--area crop"));
}

TEST_CASE("inspection: a defect at any border changes the maps of the whole image, not of the crop") {
  for (const Preset preset : {Preset::paper, Preset::anomalib}) {
    const SmallDetector detector(preset);
    detector.model->eval();
    const Predictor whole(*detector.model), crop(*detector.model, {.area = Area::crop});
    const Image image = plain(80, 64);
    const Prediction good = whole.predict(image), cropped = crop.predict(image);
    CHECK(good.inspected == Box{0, 0, 80, 64});
    CHECK(cropped.inspected == Box{10, 8, 60, 48});
    for (const Place& place : borders) {
      CAPTURE(std::string(place.name));
      Image painted = image;
      paint(painted, place, 5);
      const Prediction prediction = whole.predict(painted);
      // The score is the mean of the largest values of `blurred`: with random weights they are elsewhere.
      const int64_t last = good.blurred.size(0) - 1,
                    at = ((place.y + 1) * last / 2) * (last + 1) + (place.x + 1) * last / 2;
      CHECK(prediction.blurred.data<float>()[at] != good.blurred.data<float>()[at]);
      const int64_t x = (place.x + 1) * 79 / 2, y = (place.y + 1) * 63 / 2;
      CHECK(prediction.map().data<float>()[y * 80 + x] != good.map().data<float>()[y * 80 + x]);
      CHECK(crop.predict(painted).score == cropped.score);
    }
  }
}

TEST_CASE("inspection: evaluate() is the paper's, on the crop, unless whole images are asked for") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const Category wood = read_mvtec(folder / "data", {"wood"}).categories[0];
  const SmallDetector detector(Preset::paper);
  detector.model->eval();
  const CategoryResult paper = evaluate(*detector.model, wood, 4),
                       whole = evaluate(Predictor(*detector.model, {.area = Area::whole}, 4), wood);
  const Predictor crop(*detector.model, {.area = Area::crop});
  for (size_t i = 0; i < wood.test.size(); ++i) {
    CHECK(paper.scores[i] == doctest::Approx(crop.predict(load_image_rgb(wood.test[i].image)).score));
  }
  CHECK(paper.scores != whole.scores);
}

TEST_CASE("inspection: drawn defects at every border are found") {
  const TemporaryFolder folder;
  ProceduralOptions options;
  options.size = 128, options.train = 16, options.good = 12, options.per_defect = 1;
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  run_well(folder, fmt::format("train {0}/data --threads 1 --resize 128 --crop 112 --iterations 40 --batch 4 "
                               "--set warmup_steps=10 --checkpoint-every 0 --out {0}/out",
                               folder.path().string()));
  CHECK(missed(folder, folder / "out/model.safetensors", folder / "data/wood/test/good/003.png", 14) == "");
}

TEST_CASE("inspection: defects at every border of real parts are found") {
  const auto shared = shared_folder();
  if (!shared || !fs::exists(*shared / "data/mvtec/bottle") || !fs::exists(*shared / "data/weights")) {
    skip("no ../shared/data: defects at the borders of real parts were not looked for");
    return;
  }
  const TemporaryFolder folder;
  const fs::path bottle = *shared / "data/mvtec/bottle", here = folder / "data/bottle";
  for (const char* part : {"train", "test"}) {
    int64_t left = 20;
    fs::create_directories(here / part / "good");
    for (const auto& entry : fs::directory_iterator(bottle / part / "good")) {
      if (left-- > 0)
        fs::create_symlink(fs::canonical(entry.path()), here / part / "good" / entry.path().filename());
    }
  }
  const std::string weights = (*shared / "data/weights/vit_tiny_patch16_224.safetensors").string();
  run_well(folder,
           fmt::format("train {0}/data --encoder {1} --threads 1 --resize 128 --crop 112 --mean "
                       "0.5,0.5,0.5 --std 0.5,0.5,0.5 --iterations 40 --batch 4 --set warmup_steps=10 "
                       "--checkpoint-every 0 --out {0}/out",
                       folder.path().string(), weights));
  const fs::path good = fs::directory_iterator(here / "test/good")->path();
  CHECK(missed(folder, folder / "out/model.safetensors", good, 40) == "");
}
