// dinomaly calibrate, and what other commands make of its thresholds: what they hold for, and what they are
// worth.
#include <nlohmann/json.hpp>

#include "dinomaly/inference/calibrate.h"
#include "dinomaly/synthetic/scenes.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

std::string path(const TemporaryFolder& folder, const char* name) { return (folder / name).string(); }

std::string calibrate_on_data(const TemporaryFolder& folder) {
  return "calibrate " + path(folder, "model") + " " + path(folder, "data") + " --false-alarm-rate 0.2 ";
}

std::string predict_one(const TemporaryFolder& folder) {
  return "predict " + path(folder, "model") + " " + path(folder, "data/wood/test/good/000.png") + " ";
}

Calibration calibration_in(const TemporaryFolder& folder) {
  return *load_detector(folder / "model").calibration;
}

// A detector whose images lose a margin to the crop: 64 pixels, of which 56.
void make_cropping_project(const TemporaryFolder& folder) {
  make_small_project(folder);
  const auto model = cropping_model();
  save_model(folder / "model", *model, model->encoder().config());
}

// As a version that knew no areas has written it.
void forget_area(const TemporaryFolder& folder) {
  const SafeTensors file = SafeTensors::load(folder / "model");
  auto metadata = file.metadata();
  json calibration = json::parse(metadata.at("calibration"));
  calibration.erase("area"), calibration.erase("images");
  metadata["calibration"] = calibration.dump();
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name).clone());
  save_safetensors(folder / "model", tensors, metadata);
}

}  // namespace

TEST_CASE("calibrate: --tile has one default overlap, stored, and the printed advice ends the matter") {
  const TemporaryFolder folder;
  make_small_project(folder);
  run_well(folder, calibrate_on_data(folder) + "--tile 40");
  CHECK(calibration_in(folder).inspection == Inspection{{40, 10}});
  run_well(folder, predict_one(folder) + "--tile 40");
  run_well(folder, predict_one(folder));  // as stored
  check_refused(folder, predict_one(folder) + "--tile 40 --overlap 12",
                "run calibrate with --tile 40 --overlap 12");
  check_refused(folder, predict_one(folder) + "--tile 0", "--area whole");
  check_refused(
      folder,
      "report " + path(folder, "model") + " " + path(folder, "data") + " --out " + path(folder, "page.html"),
      "without --tile");
  run_well(folder, calibrate_on_data(folder) + "--tile 40 --overlap 12 --force");
  run_well(folder, predict_one(folder) + "--tile 40 --overlap 12");
}

TEST_CASE("calibrate: thresholds hold for the area they were found with") {
  const TemporaryFolder folder;
  make_cropping_project(folder);
  const auto verdict = [&](const std::string& flags) {
    return json::parse(run_well(folder, predict_one(folder) + "--json " + flags).out);
  };
  CHECK(verdict("").at("area") == "whole");
  CHECK(verdict("").at("inspected") == json({0, 0, 64, 64}));
  CHECK(verdict("--area crop").at("inspected") == json({4, 4, 56, 56}));
  run_well(folder, calibrate_on_data(folder));
  CHECK(calibration_in(folder).inspection == Inspection{});
  check_refused(folder, predict_one(folder) + "--area crop", "run calibrate with --area crop");
  check_refused(folder,
                "report " + path(folder, "model") + " " + path(folder, "data") + " --area crop --out " +
                    path(folder, "page.html"),
                "--area whole");
  // With thresholds of one's own there is nothing to mistake; that of pixels is not taken over.
  const json own = verdict("--area crop --threshold 3");
  CHECK(own.at("anomalous") == false);
  CHECK(own.at("pixel_threshold").is_null());
  run_well(folder, calibrate_on_data(folder) + "--area crop --force");
  CHECK(verdict("").at("area") == "crop");
  check_refused(folder, predict_one(folder) + "--area whole", "--area crop");
  check_refused(folder, predict_one(folder) + "--area half", "half");
  check_refused(folder, predict_one(folder) + "--area crop --tile 40", "--tile");
}

TEST_CASE("calibrate: a model of a version that knew only the crop goes on judging the crop") {
  const TemporaryFolder folder;
  make_cropping_project(folder);
  run_well(folder, calibrate_on_data(folder) + "--area crop");
  const std::string before = run_well(folder, predict_one(folder) + "--json").out;
  forget_area(folder);
  CHECK(run_well(folder, predict_one(folder) + "--json").out == before);
  CHECK(json::parse(before).at("area") == "crop");
  const std::string line = run_well(folder, predict_one(folder)).out;
  CHECK_MESSAGE(contains(line, "(inspected: 56 x 56 pixels at (4, 4))"), line);
  check_refused(folder, predict_one(folder) + "--area whole", "--area crop");
}

TEST_CASE("calibrate: too few good images for the rate do not replace thresholds") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string call = "calibrate " + path(folder, "model") + " " + path(folder, "data");
  // There is nothing to lose yet, but it is said.
  const Outcome first = run_well(folder, call + " --json");
  CHECK_MESSAGE(contains(first.error, "8 good images cannot promise a false alarm rate of 0.01"),
                first.error);
  const std::string model = bytes_of(folder / "model");
  check_refused(folder, call, "that takes 99");
  check_refused(folder, call + " --false-alarm-rate 0.11", "--force");
  check_refused(folder, call + " --false-alarm-rate 0.15 --per-category", "4 good images");
  CHECK(bytes_of(folder / "model") == model);
  run_well(folder, call + " --out " + path(folder, "other"));
  CHECK(bytes_of(folder / "model") == model);
  CHECK_MESSAGE(contains(first.error, "they can promise --false-alarm-rate 0.1112"), first.error);
  run_well(folder, call + " --false-alarm-rate 0.1112");  // above 1 / 9: following the advice ends the matter
  CHECK(bytes_of(folder / "model") != model);
  run_well(folder, call + " --force");
  CHECK(calibration_in(folder).false_alarm_rate == 0.01);
  for (const double rate : {0.3, 0.112, 0.05, 0.01}) {
    const int64_t needed = images_needed(rate);
    CHECK(promised_rate(needed, rate) <= rate * (1 + 1e-9));
    CHECK(promised_rate(needed - 1, rate) > rate);
  }
  check_refused(folder, call + " --false-alarm-rate 1e-12", "8 good images cannot promise");
  for (const char* rate : {"9e-13", "1e-19", "1e-300", "1e-320"})
    check_refused(folder, call + " --false-alarm-rate " + rate, "is not from 1e-12 to below 1");
}

TEST_CASE("calibrate: no thresholds are written into a model that has changed meanwhile") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string();
  for (int i = 0; i < 200; ++i)
    std::filesystem::copy_file(folder / "data/wood/test/good/000.png",
                               folder / fmt::format("data/wood/test/good/more{}.png", i));
  Child child(folder, fmt::format("calibrate {0}/model {0}/data --out {0}/new/model --force", at));
  REQUIRE(
      wait_until([&] { return std::filesystem::exists(folder / "new"); }));  // made once the model is read
  const std::string another = bytes_of(folder / "model");
  write_file(folder / "model", another);
  REQUIRE(wait_until([&] { return child.ended(); }));
  CHECK(WEXITSTATUS(child.end_with(SIGKILL)) == 2);
  CHECK_MESSAGE(contains(child.error(), "it changed while images were judged"), child.error());
  CHECK_FALSE(std::filesystem::exists(folder / "new/model"));
}

TEST_CASE("calibrate: images of defects are not taken for good ones") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = path(folder, "model"), before = bytes_of(folder / "model");
  const std::string stained = path(folder, "data/wood/test/colour");
  check_refused(folder, "calibrate " + model + " " + stained + " --false-alarm-rate 0.5",
                "name or place says");
  check_refused(folder, "calibrate " + model + " " + stained + "/ --out " + path(folder, "other"),
                "name or place says");
  std::filesystem::copy(stained, folder / "NG");
  check_refused(folder, "calibrate " + model + " " + path(folder, "NG"), "name or place says");
  const std::string list = path(folder, "list.csv");
  write_file(list,
             "path\nNG/" + std::filesystem::directory_iterator(folder / "NG")->path().filename().string());
  check_refused(folder, "calibrate " + model + " " + list, "NG: its name or place says");
  CHECK(bytes_of(folder / "model") == before);
  CHECK_FALSE(std::filesystem::exists(folder / "other"));
  run_well(folder,
           "calibrate " + model + " " + path(folder, "data/wood/test/good") + " --false-alarm-rate 0.5");
  run_well(folder, "calibrate " + model + " " + stained + " --false-alarm-rate 0.5 --force");
}

TEST_CASE("calibrate: what is equal pixel for pixel counts once, whatever its file") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::filesystem::path parts = folder / "parts";
  std::filesystem::copy(folder / "data/wood/test/good", parts);  // four images
  const std::string call = "calibrate " + path(folder, "model") + " " + parts.string() + " --json --force ";
  const json alone = json::parse(run_well(folder, call + "--false-alarm-rate 0.2").out);
  CHECK(alone.at("good_images") == 4);
  const Image image = load_image_rgb(parts / "000.png");
  write_file(parts / "again.ppm", fmt::format("P6 {} {} 255\n", image.width, image.height) +
                                      std::string(image.pixels.begin(), image.pixels.end()));
  std::filesystem::copy(parts / "001.png", parts / "copy.png");
  const Outcome again = run_well(folder, call + "--false-alarm-rate 0.15");
  CHECK(json::parse(again.out).at("good_images") == 4);
  CHECK(json::parse(again.out).at("promised_rate") == 0.2);
  CHECK_MESSAGE(contains(again.error, "of 6 images, 2 equal others pixel for pixel and are not counted"),
                again.error);
  CHECK_MESSAGE(contains(again.error, "parts/again.ppm (as " + (parts / "000.png").string() + ")"),
                again.error);
  CHECK_MESSAGE(contains(again.error, "4 good images cannot promise"), again.error);
  CHECK(calibration_in(folder).images.size() == 4);
}

TEST_CASE("calibrate: images that the thresholds at hand call anomalous do not replace them") {
  const TemporaryFolder folder;
  make_cropping_project(folder);
  run_well(folder, calibrate_on_data(folder));
  // A threshold below all scores: as if the images were of broken parts.
  const SafeTensors file = SafeTensors::load(folder / "model");
  auto metadata = file.metadata();
  json calibration = json::parse(metadata.at("calibration"));
  calibration["thresholds"]["image"] = -1.0;
  metadata["calibration"] = calibration.dump();
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name).clone());
  save_safetensors(folder / "model", tensors, metadata);
  const std::string before = bytes_of(folder / "model");
  check_refused(folder, calibrate_on_data(folder), "8 of 8 images that should be good are anomalous");
  check_refused(folder, calibrate_on_data(folder) + "--area crop",
                "8 of 8 images");  // by the thresholds' area
  CHECK(bytes_of(folder / "model") == before);
  const Outcome other = run_well(folder, calibrate_on_data(folder) + "--out " + path(folder, "other"));
  CHECK(contains(other.error, "8 of 8 images"));
  run_well(folder, calibrate_on_data(folder) + "--force");
  CHECK(calibration_in(folder).all.image > 0);
}

TEST_CASE("calibrate: thresholds of categories are not lost for want of --per-category") {
  const TemporaryFolder folder;
  make_small_project(folder);
  run_well(folder, calibrate_on_data(folder) + "--per-category --force");
  check_refused(folder, calibrate_on_data(folder),
                "thresholds of 'weave', 'wood', and the new ones would be without");
  const Outcome other = run_well(
      folder, calibrate_on_data(folder) + "--per-category --categories wood --out " + path(folder, "other"));
  CHECK_MESSAGE(contains(other.error, "thresholds of 'weave', and"), other.error);
  CHECK(calibration_in(folder).categories.size() == 2);
  run_well(folder, calibrate_on_data(folder) + "--per-category --method f1");
  run_well(folder, calibrate_on_data(folder) + "--force");
  CHECK(calibration_in(folder).categories.empty());
}

TEST_CASE("eval and report: a category without defects leaves the others to be judged") {
  const TemporaryFolder folder;
  make_small_project(folder);
  for (const NamedDefect& defect : all_defects)
    for (const char* part : {"test", "ground_truth"})
      std::filesystem::remove_all(folder / "data/wood" / part / defect.name);
  REQUIRE(std::distance(std::filesystem::directory_iterator(folder / "data/wood/test"), {}) == 1);
  const std::string both = path(folder, "model") + " " + path(folder, "data");
  const Outcome eval = run_well(folder, "eval " + both + " --json " + path(folder, "numbers.json"));
  CHECK_MESSAGE(contains(eval.error, "category 'wood' cannot be judged: no anomalous test images"),
                eval.error);
  const json numbers = json_of(folder / "numbers.json");
  CHECK(numbers.at("categories").size() == 1);
  CHECK(numbers.at("categories").contains("weave"));
  run_well(folder, "eval " + both + " --protocol official --json " + path(folder, "numbers.json"));
  CHECK(json_of(folder / "numbers.json").at("area") == "whole");
  const Outcome report = run_well(folder, "report " + both + " --out " + path(folder, "page.html"));
  CHECK(contains(report.error, "'wood' cannot be judged"));
  check_refused(folder, "eval " + both + " --categories wood", "no anomalous test images");
}
