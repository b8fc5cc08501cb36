// Images unlike those a model was trained on are not judged without a word.
#include "dinomaly/model/training_images.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

InputImage shaped(int64_t width, int64_t height, bool grey = false) {
  InputImage image;
  image.width = width, image.height = height, image.grey = grey;
  return image;
}

std::string kinds(const TrainingImages& seen, const InputImage& image, bool tiled = false) {
  std::string result;
  for (const ImageWarning& warning : seen.warnings(image, tiled)) result += warning.kind + " ";
  return result;
}

}  // namespace

TEST_CASE("training images: one warning for each way in which an image is unlike them") {
  TrainingImages seen;
  CHECK(kinds(seen, shaped(1, 1, true)) == "");  // nothing is known
  seen.add(shaped(640, 480));
  seen.add(shaped(512, 512));
  CHECK(kinds(seen, shaped(640, 480)) == "");
  CHECK(kinds(seen, shaped(600, 500)) == "");
  CHECK(kinds(seen, shaped(256, 240)) == "");
  CHECK(kinds(seen, shaped(255, 255)) == "smaller ");
  CHECK(kinds(seen, shaped(1, 1, true)) == "smaller grey ");
  CHECK(kinds(seen, shaped(1281, 1024)) == "larger ");
  CHECK(kinds(seen, shaped(1281, 1024), true) == "");
  CHECK(kinds(seen, shaped(960, 480)) == "aspect ");
  CHECK(kinds(seen, shaped(480, 640)) == "aspect ");
  CHECK(kinds(seen, shaped(5000, 1)) == "aspect ");  // neither smaller nor larger, and not both
  CHECK(kinds(seen, shaped(1, 5000)) == "aspect ");
  CHECK(kinds(seen, shaped(5000, 1), true) == "smaller ");
  CHECK(kinds(seen, shaped(480, 640), true) == "");
  CHECK(kinds(seen, shaped(512, 512, true)) == "grey ");
  seen.add(shaped(512, 512, true));
  CHECK(kinds(seen, shaped(512, 512, true)) == "");
  CHECK(kinds(seen, shaped(512, 512, false)) == "");
  TrainingImages grey;
  grey.add(shaped(8, 8, true));
  CHECK(kinds(grey, shaped(8, 8)) == "colour ");
}

TEST_CASE("training images: text and back; what is malformed is named") {
  TrainingImages seen;
  seen.add(shaped(640, 480)), seen.add(shaped(512, 300, true));
  CHECK(TrainingImages::from_text(seen.to_json().dump(), "model") == seen);
  json backwards = seen.to_json();
  backwards["height"] = {200, 96};
  CHECK(one_line_with(input_error([&] { TrainingImages::from_text(backwards.dump(), "model"); }),
                      "has a range 'height' from 200 to 96"));
  for (const char* text :
       {"", "3", "[]", "{}", R"({"images": 1, "grey": 0, "width": [1], "height": [1, 1]})",
        R"({"images": "x", "grey": 0, "width": [1, 1], "height": [1, 1], "aspect": [1, 1]})"}) {
    CHECK(one_line_with(input_error([&] { TrainingImages::from_text(text, "model"); }), "model"));
  }
}

TEST_CASE("is_grey: equal channels but for compression's noise") {
  Image image(3, 2, 3);
  CHECK(is_grey(image.pixels));
  image.pixels[4] = 4;
  CHECK(is_grey(image.pixels));
  image.pixels[4] = 5;
  CHECK_FALSE(is_grey(image.pixels));
}

TEST_CASE("predict: warns of images unlike the training images, in JSON too; an old model says nothing") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "out") + "--iterations 1");
  const std::filesystem::path model = folder / "out/model.safetensors";
  Image colours(64, 64, 3), wide(192, 64, 3), large(200, 200, 3);
  for (Image* image : {&colours, &wide, &large}) image->pixels[0] = 200;
  save_png(folder / "in/a_same.png", colours);
  save_png(folder / "in/b_wide.png", wide);
  save_png(folder / "in/c_large.png", large);
  save_png(folder / "in/d_one.png", Image(1, 1, 3));
  save_png(folder / "in/e_grey.png", Image(64, 64, 1));
  const std::string call = "predict " + model.string() + " " + (folder / "in").string() + " --json";
  const Outcome outcome = run_well(folder, call);
  std::istringstream lines(outcome.out);
  std::string found;
  for (std::string line; std::getline(lines, line); found += "| ") {
    const json verdict = json::parse(line);
    for (const json& warning : verdict.at("warnings")) {
      found += warning.at("kind").get<std::string>() + " ";
      CHECK(contains(outcome.error, warning.at("text").get<std::string>() + "\n"));
    }
  }
  CHECK(found == "| larger aspect | larger | smaller grey | grey | ");
  CHECK(contains(outcome.error, "d_one.png: 1 x 1 pixels, far smaller than the training images (64 x 64)"));

  // Many images of a kind: a few lines and their number.
  for (int i = 0; i < 9; ++i) save_png(folder / fmt::format("many/{}.png", i), Image(64, 64, 1));
  const std::string error =
      run_well(folder, "predict " + model.string() + " " + (folder / "many").string()).error;
  CHECK(std::count(error.begin(), error.end(), '\n') == 6);
  CHECK_MESSAGE(contains(error, "4 more images with the warning 'grey'"), error);

  make_small_project(folder);  // a model without that record
  CHECK(run_well(folder,
                 "predict " + (folder / "model").string() + " " + (folder / "in").string() + " --threshold 1")
            .error == "");
}

TEST_CASE("train: the record of the training images does not depend on where features come from") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string cached = "--iterations 9 --feature-cache " + (folder / "cache").string();
  std::vector<TrainingImages> found;
  for (const char* out : {"first", "second"}) {
    run_well(folder, small_run(folder, out) + cached);
    found.push_back(load_detector(folder / out / "model.safetensors").training_images.value());
  }
  CHECK(found[0] == found[1]);
  CHECK(found[0].images == 12);
  CHECK(found[0].grey == 0);
  CHECK(found[0].least_width == 64);
  const json info =
      json::parse(run_well(folder, "info --json " + (folder / "first/model.safetensors").string()).out);
  CHECK(info.at("training_images").at("width") == json({64, 64}));
  CHECK_FALSE(info.at("calibration").contains("images"));
}
