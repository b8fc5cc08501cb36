// train, eval and report on data sets whose objects have several images.
#include <map>
#include <sstream>

#include "dinomaly/image/image.h"
#include "dinomaly/model/model_file.h"
#include "tensor/random.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/cli/train_program.h"
#include "tests/dinomaly/drawn_scene.h"

using namespace dinomaly;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void draw(const fs::path& path, int64_t width, int64_t height, uint64_t seed) {
  Generator generator(seed);
  Image image(width, height, 3);
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(generator.next_word());
  fs::create_directories(path.parent_path());
  save_png(path, image);
}

void draw_mask(const fs::path& path, int64_t width, int64_t height, int64_t x) {
  Image mask(width, height, 1);
  for (int64_t y = 2; y < height - 2; ++y) std::fill_n(mask.at(x, y), 12, uint8_t{255});
  fs::create_directories(path.parent_path());
  save_png(path, mask);
}

// Of other batches, whose products round differently.
void check_near(const json& metrics, const json& expected) {
  CHECK(metrics.size() == expected.size());
  for (const auto& [category, values] : expected.items()) {
    for (const auto& [name, value] : values.items()) {
      CAPTURE(name);
      CHECK(metrics.at(category).at(name).get<double>() ==
            doctest::Approx(value.get<double>()).epsilon(1e-3).scale(1));
    }
  }
}

// The config of OUT's model, of a run of train_mvtec with dinomaly2 on FOLDER/data.
json config_of_example(const TemporaryFolder& folder) {
  const TrainOutcome outcome = run_training(
      folder, fmt::format("--data {0}/data --encoder {0}/encoder.safetensors --heads 2 --preset dinomaly2 "
                          "--iterations 2 --resize 56 --crop 56 --set decoder_depth=2 --threads 1",
                          folder.path().string()));
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK(json_of(folder / "out/metrics.json").at("mean").at("image_auroc").is_number());
  return json::parse(SafeTensors::load(folder / "out/model.safetensors").metadata().at("config"));
}

json trained_and_judged(const TemporaryFolder& folder, const std::string& expected_layout,
                        const std::string& flags = "") {
  const std::string run = small_run(folder, "out") + "--iterations 2 --force " + flags;
  const std::string trained = run_well(folder, run).out;
  CHECK(contains(trained, "data: " + expected_layout + "\n"));
  // Each kind of threshold that the model has got is printed.
  const auto thresholds = load_detector(folder / "out/model.safetensors").calibration;
  CHECK(contains(trained, ", objects ") == (thresholds && thresholds->all.object));
  const std::string model_and_data =
      fmt::format("{0}/out/model.safetensors {0}/data ", folder.path().string());
  const json judged =
      json::parse(run_well(folder, "eval " + model_and_data + "--json -").out).at("categories");
  check_near(judged, json_of(folder / "out/metrics.json").at("categories"));
  run_well(folder, "eval " + model_and_data + "--protocol official");
  run_well(folder, "report " + model_and_data + "--out " + (folder / "report.html").string());
  return judged;
}

}  // namespace

TEST_CASE("views: MANTA is trained on and judged by views and objects") {
  const TemporaryFolder folder;
  save_safetensors(folder / "encoder.safetensors", tiny_encoder().tensors);
  const fs::path nut = folder / "data/metal/nut";
  for (int i = 0; i < 2; ++i) {
    draw(nut / fmt::format("train/good/{}.png", i), 1280, 256, static_cast<uint64_t>(i));
    draw(nut / fmt::format("test/good/{}.png", i), 1280, 256, static_cast<uint64_t>(i) + 5);
    draw(nut / fmt::format("test/dent/{}.png", i), 1280, 256, static_cast<uint64_t>(i) + 9);
    draw_mask(nut / fmt::format("ground_truth/dent/{}.png", i), 1280, 256, 300 + 500 * i);
  }
  const json nuts = trained_and_judged(folder, "MANTA").at("nut");
  for (const char* key : {"image_auroc", "pixel_auroc", "object_auroc", "object_ap", "object_f1max"})
    CHECK(nuts.at(key).is_number());
  // The model judges views: a picture of five is refused, and its objects' threshold is not that of a folder's.
  const std::string predict = fmt::format("predict {0}/out/model.safetensors ", folder.path().string());
  const Outcome wide = run_dinomaly(folder, predict + (nut / "test/dent/0.png").string());
  CHECK(wide.status == 2);
  CHECK_MESSAGE(contains(wide.error, "dent/0.png: a picture of several views"), wide.error);
  const Calibration found = load_detector(folder / "out/model.safetensors").calibration.value();
  CHECK(found.objects == ObjectKind::strips);
  const std::string wide_file = (nut / "test/dent/0.png").string();
  for (const char* part : {"train/good", "test/good", "test/dent"}) {
    fs::create_directories(folder / "whole/nut" / part);
    fs::copy(nut / part, folder / "whole/nut" / part);
  }
  for (const char* command : {"eval {0}/out/model.safetensors {0}/whole --layout mvtec",
                              "report {0}/out/model.safetensors {0}/whole --layout mvtec --out {0}/x.html",
                              "calibrate {0}/out/model.safetensors {0}/whole --layout mvtec --force"})
    check_refused(folder, fmt::format(fmt::runtime(command), folder.path().string()),
                  ".png: a picture of several views, which " + (folder / "out/model.safetensors").string() +
                      " judges one by one; --layout manta cuts it into them");
  // Nor does it judge whole pictures without thresholds, or with those of an earlier version.
  const SafeTensors file = SafeTensors::load(folder / "out/model.safetensors");
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
  for (const bool calibrated : {false, true}) {
    for (const bool told : {true, false}) {
      auto metadata = file.metadata();
      json calibration = json::parse(metadata.at("calibration")),
           trained = json::parse(metadata.at("training_images"));
      CHECK(trained.at("strips") == true);
      calibration["objects"] = "views";
      if (!told) trained.erase("strips");
      metadata["calibration"] = calibration.dump(), metadata["training_images"] = trained.dump();
      if (!calibrated) metadata.erase("calibration"), metadata.erase("calibration_of");
      save_safetensors(folder / "older", tensors, metadata);
      const Outcome whole = run_dinomaly(
          folder, fmt::format("predict {}/older {} --threshold 0.5", folder.path().string(), wide_file));
      CHECK(whole.status == 2);
      CHECK_MESSAGE(contains(whole.error, "dent/0.png: a picture of several views"), whole.error);
    }
  }
  for (int view = 0; view < 3; ++view)
    draw(folder / fmt::format("cut/{}.png", view), 256, 256, static_cast<uint64_t>(view) + 40);
  save_png(folder / "cut/1_mask.png", Image(256, 256, 1));
  const Outcome cut = run_well(folder, predict + (folder / "cut").string() + " --object-by folder --json");
  const std::vector<json> lines = json_lines_of(cut.out);
  REQUIRE(lines.size() == 4);
  CHECK(lines.back()["threshold"].get<double>() == doctest::Approx(found.all.image));
  CHECK(lines.back()["images"] == 3);
  CHECK_MESSAGE(contains(cut.error, "because they belong to images: 1 mask"), cut.error);
  // As Real-IAD has them: a photograph, and its mask of the same name; what is in colour is an image of its own.
  write_file(folder / "cut/2.jpg", encode_jpeg(Image(256, 256, 3), 90));
  write_file(folder / "cut/3.JPG", encode_jpeg(Image(256, 256, 3), 90));
  save_png(folder / "cut/3.png", Image(256, 256, 1));
  const Outcome photographs =
      run_well(folder, predict + (folder / "cut").string() + " --object-by folder --json");
  CHECK(json_lines_of(photographs.out).back()["images"] == 5);
  CHECK_MESSAGE(contains(photographs.error, "because they belong to images: 2 masks"), photographs.error);
  // Two pictures are two draws: a batch of three does not fit.
  check_refused(folder, small_run(folder, "more") + "--iterations 1 --batch 3",
                "--batch: 3 images per batch, but there are only 2 training images");
  const json config = config_of_example(folder);
  CHECK((config.at("batch") == 2 && config.at("dropout") == 0.4 && config.at("bottleneck_lr_factor") == 1));
}

TEST_CASE("views: MVTec 3D-AD is trained on with its depth, which the model then asks for") {
  const TemporaryFolder folder;
  save_safetensors(folder / "encoder.safetensors", tiny_encoder().tensors);
  const fs::path bagel = folder / "data/bagel";
  uint64_t seed = 0;
  for (const char* name : {"train/good 0", "train/good 1", "test/good 0", "test/hole 0"}) {
    const std::string text = name;
    const fs::path part = bagel / text.substr(0, text.find(' '));
    DrawnScene scene(64, 64, ++seed);
    scene.put({15, 15, 30, 30}, 0.55f);
    fs::create_directories(part / "rgb");
    save_png(part / ("rgb/" + text.substr(text.find(' ') + 1) + ".png"), scene.rgb);
    scene.write_cloud(part / ("xyz/" + text.substr(text.find(' ') + 1) + ".tiff"));
  }
  draw_mask(bagel / "test/hole/gt/0.png", 64, 64, 20);
  for (const char* flags : {"--feature-whitening 7", ""})
    CHECK(trained_and_judged(folder, "MVTec 3D-AD", flags).at("bagel").at("pixel_auroc").is_number());
  const json config =
      json::parse(SafeTensors::load(folder / "out/model.safetensors").metadata().at("config"));
  CHECK(config.at("with_depth") == true);
  const std::string predict = fmt::format("predict {0}/out/model.safetensors ", folder.path().string());
  const json verdict =
      json::parse(run_well(folder, predict + (bagel / "test/good/rgb/0.png").string() + " --json").out);
  CHECK(verdict["width"] == 100);  // the square that the scene of 64 x 64 is in
  fs::copy(bagel / "test/good/rgb/0.png", folder / "lone.png");
  fs::copy(bagel / "test/good/xyz/0.tiff", folder / "lone_depth.tiff");
  const json beside = json::parse(run_well(folder, predict + (folder / "lone.png").string() + " --json").out);
  CHECK(beside["score"] == verdict["score"]);
  DrawnScene bare(64, 64);
  save_png(folder / "bare.png", bare.rgb);
  bare.write_cloud(folder / "bare_depth.tiff");
  const Outcome nothing = run_dinomaly(folder, predict + (folder / "bare.png").string());
  CHECK(nothing.status == 2);
  CHECK(contains(nothing.error, "bare_depth.tiff: there is no object"));
  fs::copy(bagel / "test/good/rgb/0.png", folder / "part.png");
  const Outcome missing = run_dinomaly(folder, predict + (folder / "part.png").string());
  CHECK(missing.status == 2);
  CHECK(contains(missing.error, "there is no part_depth.tiff, .tif or .png beside it"));
  const json example = config_of_example(folder);
  CHECK((example.at("with_depth") == true && example.at("bottleneck_lr_factor") == 1));
  write_file(bagel / "test/hole/xyz/0.tiff", "no depth");
  check_refused(folder, small_run(folder, "more"), "test/hole/xyz/0.tiff");
}

TEST_CASE("views: MulSen-AD is trained on in pairs, and an object's scores add up") {
  const TemporaryFolder folder;
  save_safetensors(folder / "encoder.safetensors", tiny_encoder().tensors);
  uint64_t seed = 0;
  for (const char* sensor : {"RGB", "Infrared"}) {
    const fs::path cube = folder / "data/cube" / sensor;
    for (const char* name :
         {"train/0.png", "train/1.png", "test/good/0.png", "test/hole/0.png", "test/hole/1.png"})
      draw(cube / name, 64, 64, ++seed);
    draw_mask(cube / "GT/hole/0.png", 64, 64, 20);
  }
  draw_mask(folder / "data/cube/RGB/GT/hole/1.png", 64, 64, 30);  // the second hole is seen in RGB alone
  trained_and_judged(folder, "MulSen-AD (RGB and infrared)", "--feature-whitening 7");
  const json cube = trained_and_judged(folder, "MulSen-AD (RGB and infrared)").at("cube");
  for (const char* key : {"object_auroc", "pixel_auroc", "infrared_pixel_auroc", "infrared_aupro"})
    CHECK(cube.at(key).is_number());
  CHECK(contains(bytes_of(folder / "report.html"), R"("drawn":"objects")"));

  // train has found thresholds on the good test images; calibrate takes all good objects of the training images.
  const std::string model = (folder / "out/model.safetensors").string(), data = (folder / "data").string();
  run_well(folder, fmt::format("calibrate {} {} --split train --false-alarm-rate 0.4 --force", model, data));
  const Calibration calibration = *load_detector(model).calibration;
  CHECK(calibration.objects == ObjectKind::pairs);
  CHECK(calibration.good_objects == 2);
  check_refused(folder,
                fmt::format("calibrate {} {} --split train --tile 40 --false-alarm-rate 0.4", model, data),
                "thresholds of objects (objects are not judged in tiles), and the new ones would be without");
  const std::string images =
      fmt::format("calibrate {} {}/cube/RGB/test/good --false-alarm-rate 0.5 ", model, data);
  check_refused(folder, images + "--split train", "thresholds of objects, and the new ones would be without");
  CHECK(load_detector(model).calibration == calibration);
  const Outcome other = run_well(folder, images + "--out " + (folder / "other").string());
  CHECK(contains(other.error, "thresholds of objects"));
  const std::string predict =
      fmt::format("predict {} {}/cube/RGB/test {}/cube/Infrared/test --json ", model, data, data);
  std::istringstream lines(run_well(folder, predict + "--object-by pair").out);
  std::map<std::string, double> sums;  // by defect and number
  int objects = 0;
  for (std::string line; std::getline(lines, line);) {
    const json one = json::parse(line);
    const fs::path place =
        one.contains("object") ? one["object"].get<std::string>() : one["image"].get<std::string>();
    const std::string name = (place.parent_path().filename() / place.stem()).string();
    if (!one.contains("object")) {
      sums[name] += one["score"].get<double>();
      continue;
    }
    ++objects;
    CHECK(one["images"] == 2);
    CHECK(one["score"].get<double>() == doctest::Approx(sums.at(name)).epsilon(1e-5));
    CHECK(one["threshold"].get<double>() == doctest::Approx(calibration.all.object.value()).epsilon(1e-5));
  }
  CHECK(objects == 3);
  CHECK(run_dinomaly(folder,
                     predict + "--object-by pair --threshold 1000 --object-threshold 0 --fail-on-anomaly")
            .status == 1);
  CHECK(run_dinomaly(folder,
                     predict + "--object-by pair --threshold 1000 --object-threshold 1000 --fail-on-anomaly")
            .status == 0);
  check_refused(folder, predict + "--object-by folder", "no threshold for objects by folder");
  check_refused(folder, predict + "--object-threshold 1", "--object-threshold: needs --object-by");
  check_refused(folder, predict + "--object-by boxes", "'boxes' is neither folder nor pair");
  for (const std::string sensor : {"RGB", "Infrared"}) {
    fs::create_directories(folder / ("in/" + sensor));
    fs::copy(folder / ("data/cube/" + sensor + "/test/hole"), folder / ("in/" + sensor + "/hole"));
  }
  fs::remove(folder / "in/Infrared/hole/1.png");
  // Each image alone would be anomalous.
  const Outcome moved = run_dinomaly(
      folder,
      fmt::format("predict {} {}/in --object-by pair --threshold 0 --object-threshold 1000 --move-to {}/done",
                  model, folder.path().string(), folder.path().string()));
  CHECK(moved.status == 2);  // one pair is no pair
  for (const char* name : {"RGB/hole/0.png", "Infrared/hole/0.png"}) {
    CHECK(fs::exists(folder / "done/good" / name));
    CHECK_FALSE(fs::exists(folder / "in" / name));
  }
  CHECK(fs::exists(folder / "in/RGB/hole/1.png"));
  const auto grey = [&] {
    Config config;
    config.image.pixels.channels = 1;
    config.image.crop_h = config.image.crop_w = config.image.resize_h = config.image.resize_w = 56;
    EncoderConfig shape = tiny_encoder().config;
    shape.channels = 1;
    return std::make_unique<Dinomaly>(shape, config);
  }();
  save_model(folder / "grey", *grey, grey->encoder().config());
  const std::string refusal = ": pairs of an RGB and an infrared image are read with 3 channels, not 1";
  check_refused(folder, fmt::format("calibrate {}/grey {} --force", folder.path().string(), data), refusal);
  check_refused(folder, fmt::format("predict {0}/grey {0}/in --object-by pair", folder.path().string()),
                refusal);
  check_refused(folder, small_run(folder, "more") + "--channels 1", refusal);
  const Outcome alone = run_dinomaly(
      folder, fmt::format("predict {} {}/cube/RGB/test/hole/0.png --object-by pair", model, data));
  CHECK(alone.status == 2);
  CHECK(contains(alone.error, "test/hole/0: its infrared image is missing"));
  check_refused(folder, small_run(folder, "more") + "--batch 3", "--batch: 3 is odd");
  check_refused(folder, small_run(folder, "more") + "--batch 6", "--batch: 6 images per batch");
  const json config = config_of_example(folder);
  CHECK((config.at("batch") == 4 && config.at("dropout") == 0.2 && config.at("bottleneck_lr_factor") == 0.1));
}

TEST_CASE("views: predict judges the images of a folder as one object, after the images") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string flags = fmt::format(
      "predict {0}/model {0}/data/wood/test --object-by folder --threshold 0 --json", folder.path().string());
  const Outcome outcome = run_well(folder, flags);
  std::istringstream lines(outcome.out);
  std::map<std::string, int64_t> images;
  std::vector<json> objects;
  for (std::string line; std::getline(lines, line);) {
    const json one = json::parse(line);
    if (one.contains("object")) {
      objects.push_back(one);
    } else {
      CHECK(objects.empty());
      ++images[fs::path(one["image"].get<std::string>()).parent_path().string()];
    }
  }
  REQUIRE(objects.size() == images.size());
  for (const json& object : objects) {
    CHECK(object["images"] == images.at(object["object"]));
    CHECK(object["score"] > 0);
    CHECK(object["anomalous"] == true);
  }
  CHECK(run_dinomaly(folder, flags + " --fail-on-anomaly").status == 1);
  fs::create_directories(folder / "in");
  fs::copy(folder / "data/wood/test/good", folder / "in/object");
  run_well(folder,
           fmt::format("predict {0}/model {0}/in --object-by folder --threshold 0 --object-threshold 1000 "
                       "--move-to {0}/done",
                       folder.path().string()));
  CHECK(fs::exists(folder / "done/good/object/000.png"));
  CHECK(fs::is_empty(folder / "in/object"));
  const std::string alone = fmt::format(
      "predict {0}/model {0}/data/wood/test/good/000.png --object-by folder", folder.path().string());
  // The score of an object of one image is that of the image.
  std::istringstream both(run_well(folder, alone).out);
  std::string decision, first, second, skipped;
  both >> decision >> first;
  std::getline(both, skipped);
  both >> decision >> second;
  CHECK(first == second);
}
