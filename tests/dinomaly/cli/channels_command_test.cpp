// Images of other numbers of channels than three, from training to the report.
#include <cmath>

#include "dinomaly/image/tiff_map.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/weights/input_channels.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/cli/train_program.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/dinomaly/small_detector.h"

using namespace dinomaly;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr int image_side = 64;

// A smooth pattern in each of five channels, a little different in each image; a defect is a square of the fifth.
Image five_channels(int seed, bool defect) {
  Image image(image_side, image_side, 5);
  for (int y = 0; y < image_side; ++y) {
    for (int x = 0; x < image_side; ++x) {
      for (int c = 0; c < 5; ++c) {
        const double wave =
            std::sin(0.3 * x + c) + std::cos(0.2 * y - c) + 0.05 * ((seed * 7 + x + 3 * y) % 5);
        image.at(x, y)[c] = to_byte(120 + 30 * wave);
      }
      if (defect && x >= 20 && x < 44 && y >= 18 && y < 42)
        image.at(x, y)[4] = (x / 4 + y / 4) % 2 == 0 ? 255 : 0;
    }
  }
  return image;
}

void save_five(const fs::path& path, const Image& image) {
  fs::create_directories(path.parent_path());
  if (path.extension() == ".npy") {
    write_file(path, npy_of("'|u1'", "(64, 64, 5)", text_of(image.pixels)));
    return;
  }
  if (path.extension() == ".tiff") {  // a page for each channel
    std::vector<std::string> pages(5);
    for (size_t i = 0; i < image.pixels.size(); ++i) pages[i % 5] += static_cast<char>(image.pixels[i]);
    write_tiff(path, {.width = image_side, .height = image_side}, pages);
    return;
  }
  write_tiff(path,
             {.width = image_side,
              .height = image_side,
              .samples = 5,
              .compression = COMPRESSION_LZW,
              .apart = true},
             {text_of(image.pixels)});
}

// FOLDER/five, in the layout of MVTec AD, of TIFF, paged TIFF and NPY files, and FOLDER/encoder.safetensors, of three channels.
void make_five(const TemporaryFolder& folder) {
  const fs::path part = folder / "five/part";
  const char* const extensions[] = {".tif", ".npy", ".tiff"};
  for (int i = 0; i < 6; ++i)
    save_five(part / fmt::format("train/good/{}{}", i, extensions[i % 3]), five_channels(i, false));
  Image mask(image_side, image_side, 1);
  for (int y = 18; y < 42; ++y) std::fill_n(mask.at(20, y), 24, uint8_t{255});
  for (int i = 0; i < 3; ++i) {
    save_five(part / fmt::format("test/good/{}{}", i, extensions[i % 3]), five_channels(10 + i, false));
    save_five(part / fmt::format("test/spot/{}{}", i, extensions[i % 3]), five_channels(20 + i, true));
    fs::create_directories(part / "ground_truth/spot");
    save_png(part / fmt::format("ground_truth/spot/{}_mask.png", i), mask);
  }
  save_safetensors(folder / "encoder.safetensors", tiny_encoder().tensors);
}

std::string five_run(const TemporaryFolder& folder, const std::string& out, const std::string& flags) {
  return fmt::format(
      "train {0}/five --encoder {0}/encoder.safetensors --heads 2 --resize 56 --crop 56 --batch 3 "
      "--set decoder_depth=2 --set map_size=56 --iterations 60 --out {0}/{1} {2}",
      folder.path().string(), out, flags);
}

}  // namespace

TEST_CASE("channels: a defect of the fifth channel alone is found; what is stored judges as training did") {
  const TemporaryFolder folder;
  make_five(folder);
  const std::string model = (folder / "out/model.safetensors").string(), data = (folder / "five").string();
  const Outcome trained = run_well(folder, five_run(folder, "out", "--channels 5"));
  CHECK(contains(trained.out,
                 "encoder.safetensors: the patch embedding is made to take 5 channels instead of 3"));
  const json metrics = json_of(folder / "out/metrics.json");
  CHECK(metrics.at("mean").at("image_auroc") == 1);
  CHECK(metrics.at("mean").at("pixel_auroc").get<double>() > 0.9);

  const Detector detector = load_detector(model);
  CHECK(detector.config().image.pixels.channels == 5);
  CHECK(detector.config().image.mean.size() == 5);
  CHECK(detector.model->encoder().config().channels == 5);
  const json info = json::parse(run_well(folder, "info --json " + model).out);
  CHECK(info.at("encoder").at("channels") == 5);
  CHECK(info.at("detector").at("config").at("channels") == 5);

  // predict equals eval, map by map; and so does what comes by standard input.
  run_well(folder, fmt::format("eval {} {} --export-maps {}/maps --json {}/eval.json", model, data,
                               folder.path().string(), folder.path().string()));
  const std::string judged =
      run_well(folder, fmt::format("predict {} {}/part/test --json --area crop --threshold 1 "
                                   "--map-format tiff --out {}/seen",
                                   model, data, folder.path().string()))
          .out;
  const std::vector<json> lines = json_lines_of(judged);
  REQUIRE(lines.size() == 6);
  for (const json& line : lines) {
    CAPTURE(line.dump());
    CHECK(line.at("warnings").empty());
    const fs::path image = line.at("image").get<std::string>();
    const std::string kind = image.parent_path().filename().string(), name = image.stem().string();
    CHECK(load_tiff_map(folder / fmt::format("maps/part/test/{}/{}.tiff", kind, name)).to_vector<float>() ==
          load_tiff_map(line.at("map").get<std::string>()).to_vector<float>());
    const Image overlay = load_image_rgb(line.at("overlay").get<std::string>());
    CHECK((overlay.width == image_side && overlay.height == image_side));
  }
  const Outcome piped =
      run_dinomaly(folder, fmt::format("predict {} - --json --area crop --threshold 1", model),
                   fmt::format("find {}/part/test -type f | sort | ", data));
  const std::vector<json> from_pipe = json_lines_of(piped.out);
  REQUIRE(from_pipe.size() == 6);
  for (size_t i = 0; i < 6; ++i) CHECK(from_pipe[i].at("score") == lines[i].at("score"));
  CHECK(json_lines_of(run_well(folder, fmt::format("predict {} {}/part/test --json --tile 32 --threshold 1",
                                                   model, data))
                          .out)
            .size() == 6);
  for (const char* tiles : {" --tile 32", ""})  // each is compared with the thresholds that are there
    run_well(folder, fmt::format("calibrate {} {} --force --false-alarm-rate 0.5{}", model, data, tiles));
  run_well(folder, fmt::format("report {} {} --out {}/report.html", model, data, folder.path().string()));
  CHECK(contains(bytes_of(folder / "report.html"), "5 channels"));

  // Other programs take three channels; an encoder alone may have any number of them.
  check_refused(
      folder,
      fmt::format("export {} --to authors --out {}/authors.safetensors", model, folder.path().string()),
      "'channels' is 5");
  run_well(folder, fmt::format("convert {} {}/timm.safetensors --names timm", model, folder.path().string()));
  CHECK(json::parse(run_well(folder, "info --json " + (folder / "timm.safetensors").string()).out)
            .at("encoder")
            .at("channels") == 5);

  // An encoder that takes five channels is taken as it is, and a number that does not fit is refused.
  run_well(
      folder,
      fmt::format("train {0}/five --encoder {0}/timm.safetensors --heads 2 --resize 56 --crop 56 --batch 3 "
                  "--set decoder_depth=2 --set map_size=56 --iterations 60 --out {0}/again",
                  folder.path().string()));
  CHECK(json_of(folder / "again/metrics.json").at("mean") == metrics.at("mean"));
  check_refused(
      folder,
      fmt::format("train {0}/five --encoder {0}/timm.safetensors --heads 2 --channels 4 --out {0}/x",
                  folder.path().string()),
      "timm.safetensors: the encoder takes images of 5 channels, not of 4");

  // Files that do not fit the model.
  save_png(folder / "rgb.png", Image(image_side, image_side, 3));
  const Outcome refused = run_dinomaly(folder, "predict " + model + " " + (folder / "rgb.png").string());
  CHECK(refused.status == 2);
  CHECK_MESSAGE(contains(refused.error, "rgb.png: 3 channels, but 5 are expected"), refused.error);
}

TEST_CASE("channels: a model without its encoder takes that of three channels, or its own") {
  const TemporaryFolder folder;
  make_five(folder);
  run_well(folder, five_run(folder, "out", "--channels 5 --slim --iterations 2"));
  const Detector detector =
      load_detector(folder / "out/model.safetensors", folder / "encoder.safetensors", 2);
  CHECK(detector.model->encoder().config().channels == 5);
  save_safetensors(folder / "own.safetensors", with_channels(tiny_encoder(), 5, "e").tensors);
  CHECK(same_weights(*load_detector(folder / "out/model.safetensors", folder / "own.safetensors", 2).model,
                     *detector.model));
  save_safetensors(folder / "four.safetensors", with_channels(tiny_encoder(), 4, "e").tensors);
  CHECK(one_line_with(
      input_error([&] { load_detector(folder / "out/model.safetensors", folder / "four.safetensors", 2); }),
      "four.safetensors: the encoder takes images of 4 channels, not of 5"));
}

TEST_CASE(
    "channels: few-shot training, random encoders and train_mvtec take five channels; resume continues") {
  const TemporaryFolder folder;
  make_five(folder);
  run_well(folder, five_run(folder, "few", "--channels 5 --shots 4 --iterations 3"));
  run_well(folder, five_run(folder, "halves", "--channels 5 --iterations 2"));
  run_well(folder, five_run(folder, "halves", "--channels 5 --iterations 4 --resume"));
  check_refused(folder, five_run(folder, "halves", "--channels 5 --mean 1,1,1"),
                "mean: 3 values, but images have 5");
  check_refused(folder, five_run(folder, "x", "--channels 17"), "--channels: 17 is not within 1..16");
  check_refused(folder, five_run(folder, "x", "--channels 0"), "--channels: 0 is not within 1..16");
  check_refused(folder, five_run(folder, "x", "--channels -1"), "--channels: -1 is not within 1..16");
  check_refused(folder, five_run(folder, "x", "--channels 4"), "5 channels, but 4 are expected");
  check_refused(folder, five_run(folder, "x", ""), "is not read where grey or RGB is expected");
  const TrainOutcome example = run_training(
      folder,
      fmt::format(
          "--data {}/five --encoder random --channels 5 --resize 56 --crop 56 --batch 2 --iterations 1 "
          "--set decoder_depth=2 --threads 1",
          folder.path().string()));
  CHECK_MESSAGE(example.status == 0, example.error);
  CHECK(load_detector(folder / "out/model.safetensors").model->encoder().config().channels == 5);
}

TEST_CASE("channels: a model of one reads grey; colours are converted, and not without a word") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const Outcome trained = run_well(folder, small_run(folder, "out") + "--iterations 1 --channels 1");
  CHECK(contains(trained.out, "of 12 training images, 12 are in colour: converted to grey"));
  for (const auto& entry : fs::recursive_directory_iterator(folder / "data")) {
    const bool mask = entry.path().parent_path().parent_path().filename() == "ground_truth";
    if (mask || entry.path().extension() != ".png") continue;
    save_png(entry.path(), load_image(entry.path(), {.channels = 1}));
  }
  const Outcome grey = run_well(folder, small_run(folder, "grey") + "--iterations 1 --channels 1");
  CHECK_FALSE(contains(grey.out, "are in colour"));
  // What was converted by us and what was grey before are the same to the model.
  CHECK(json_of(folder / "grey/metrics.json").at("mean") == json_of(folder / "out/metrics.json").at("mean"));
  Image colours(64, 64, 3);
  colours.pixels[0] = 200;
  save_png(folder / "in/a.png", colours);
  save_png(folder / "in/b.png", Image(64, 64, 1));
  const std::string in = (folder / "in").string();
  const auto warnings = [&](const std::string& model, const std::string& flags) {
    std::string found;
    for (const json& line :
         json_lines_of(run_well(folder, fmt::format("predict {}/{}/model.safetensors {} --json {}",
                                                    folder.path().string(), model, in, flags))
                           .out)) {
      for (const json& warning : line.at("warnings")) found += warning.at("text").get<std::string>() + "; ";
      found += "| ";
    }
    return found;
  };
  CHECK(warnings("grey", "") == "in colour, converted to grey: the model takes one channel; | | ");
  CHECK(warnings("grey", "--tile 32 --threshold 1") ==
        "in colour, converted to grey: the model takes one channel; | | ");
  CHECK(warnings("out", "") == "| grey, but the training images are in colour; | ");
}

TEST_CASE("channels: a model that says nothing of them was trained on three") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const SafeTensors file = SafeTensors::load(folder / "model");
  std::map<std::string, std::string> metadata = file.metadata();
  json config = json::parse(metadata.at("config"));
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
  const auto save_as = [&](const char* name) {
    metadata["config"] = config.dump();
    save_safetensors(folder / name, tensors, metadata);
  };
  CHECK(config.at("channels") == 3);
  config.erase("channels");
  save_as("old");
  config["channels"] = 5;
  save_as("wrong");
  const auto scores = [&](const char* model) {
    return run_well(folder,
                    fmt::format("predict {0}/{1} {0}/data/wood/test --json", folder.path().string(), model))
        .out;
  };
  CHECK(scores("old") == scores("model"));
  CHECK(load_detector(folder / "old").config().image.pixels.channels == 3);
  for (const char* command : {"info", "predict"}) {
    check_refused(
        folder,
        fmt::format(
            "{0} {1}/wrong{2}", command, folder.path().string(),
            command == std::string("info") ? "" : fmt::format(" {}/data/wood/test", folder.path().string())),
        "wrong: patch_embed.proj.weight takes 3 channels, but the options say 5");
  }
}
