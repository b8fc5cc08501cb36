// dinomaly predict, calibrate and eval from the command line.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string paths(const TemporaryFolder& folder) {
  return (folder / "model").string() + " " + (folder / "data").string();
}

}  // namespace

TEST_CASE("predict: each image of a folder gets a line of JSON, an overlay and a map, at its own size") {
  const TemporaryFolder folder;
  make_small_project(folder);
  REQUIRE(run_dinomaly(folder, "calibrate " + paths(folder) + " --false-alarm-rate 0.3").status == 0);
  save_png(folder / "data/wood/test/good/wide.png", Image(150, 40, 3));
  const std::string good = (folder / "data/wood/test").string(), out = (folder / "out").string();
  const Outcome outcome = run_dinomaly(folder, "predict " + (folder / "model").string() + " " + good +
                                                   " --json --map-format tiff --out " + out);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  const std::vector<json> lines = json_lines_of(outcome.out);
  CHECK(lines.size() == 10);
  for (const json& line : lines) {
    const Tensor map = load_tiff_map(line.at("map").get<std::string>());
    const Image overlay = load_image_rgb(line.at("overlay").get<std::string>());
    const Image image = load_image_rgb(line.at("image").get<std::string>());
    CHECK(map.shape() == Shape({image.height, image.width}));
    CHECK((overlay.width == image.width && overlay.height == image.height));
    CHECK(line.at("anomalous") == (line.at("score") > line.at("threshold")));
    for (const json& region : line.at("regions")) {
      const auto box = region.at("box").get<std::vector<int64_t>>();
      CHECK(
          (box[0] >= 0 && box[1] >= 0 && box[0] + box[2] <= image.width && box[1] + box[3] <= image.height));
      const auto peak = region.at("peak_at").get<std::vector<int64_t>>();
      CHECK(map.data<float>()[peak[1] * image.width + peak[0]] ==
            doctest::Approx(region.at("peak").get<float>()));
    }
  }
  CHECK(fs::exists(folder / "out/good/wide_overlay.png"));
}

TEST_CASE("predict: that a model has no thresholds is said once, unless the user gives one") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string call = "predict " + paths(folder) + "/wood/test/good ";
  const std::string line = fmt::format(
      "dinomaly: {}: has no thresholds, so no image is called good or anomalous; run dinomaly calibrate, or "
      "give "
      "--threshold\n",
      (folder / "model").string());
  for (const char* flags : {"", "--json", "--csv", "--pixel-threshold 0.5"}) {
    const Outcome outcome = run_dinomaly(folder, call + flags);
    CAPTURE(flags);
    CHECK(outcome.status == 0);
    CHECK(outcome.error == line);
    CHECK(!contains(outcome.out, "has no thresholds"));
    CHECK(lines_in(outcome.out).size() == (std::string(flags) == "--csv" ? 5 : 4));
  }
  for (const char* flags : {"--threshold 0.5", "--object-by folder --object-threshold 0.5"})
    CHECK(run_dinomaly(folder, call + flags).error.empty());
  REQUIRE(run_dinomaly(folder, "calibrate " + paths(folder) + " --method f1").status == 0);
  CHECK(run_dinomaly(folder, call).error.empty());
}

TEST_CASE("predict: a raw score and map do not depend on calibration or company") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(),
                    one = (folder / "data/wood/test/good/001.png").string();
  const json alone =
      json_lines_of(run_dinomaly(folder, "predict " + model + " " + one + " --json").out).at(0);
  CHECK(alone.at("anomalous").is_null());
  CHECK(alone.at("threshold").is_null());
  REQUIRE(run_dinomaly(folder, "calibrate " + paths(folder) + " --method f1").status == 0);
  const std::vector<json> among = json_lines_of(
      run_dinomaly(folder, "predict " + model + " " + (folder / "data/wood/test/good").string() + " --json")
          .out);
  REQUIRE(among.size() == 4);
  CHECK(among[1].at("image") == one);
  CHECK(among[1].at("score").get<double>() == doctest::Approx(alone.at("score").get<double>()).epsilon(1e-5));
  CHECK(among[1].at("anomalous").is_boolean());
}

TEST_CASE("predict: damaged images are reported, the others judged, status 2") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string();
  write_file(folder / "data/wood/test/good/001.png", "damaged");
  const std::string list = (folder / "list").string();
  write_file(list, (folder / "data/wood/test/good/000.png").string() + "\r\n\n" +
                       (folder / "data/wood/test/good/001.png").string() + "\n/nowhere/else.png\n" +
                       (folder / "data/wood/test/good/002.png").string());
  const Outcome outcome =
      run_dinomaly(folder, "predict " + model + " - --json --threshold 0 --fail-on-anomaly <" + list);
  CHECK(outcome.status == 2);
  const std::vector<json> lines = json_lines_of(outcome.out);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].at("anomalous") == true);
  CHECK(lines[1].contains("error"));
  CHECK(lines[2].contains("error"));
  CHECK(lines[3].at("anomalous") == true);
  CHECK(outcome.error.find("good/001.png") != std::string::npos);
  CHECK(outcome.error.find("/nowhere/else.png") != std::string::npos);
}

TEST_CASE("predict: --fail-on-anomaly is status 1 where one is anomalous, 0 where none is") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string command = "predict " + (folder / "model").string() + " " +
                              (folder / "data/wood/test/good").string() + " --fail-on-anomaly --threshold ";
  CHECK(run_dinomaly(folder, command + "0").status == 1);
  CHECK(run_dinomaly(folder, command + "3").status == 0);
}

TEST_CASE("predict: --fail-on-anomaly holds wherever the anomalous image is, in whatever batch") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string predict = "predict " + (folder / "model").string() + " ";
  std::vector<std::pair<double, std::string>> images;
  for (const json& line : json_lines_of(
           run_dinomaly(folder, predict + (folder / "data/wood/test/good").string() + " --json").out))
    images.emplace_back(line.at("score").get<double>(), line.at("image").get<std::string>());
  REQUIRE(images.size() == 4);
  std::sort(images.rbegin(), images.rend());
  REQUIRE(images[0].first > images[1].first);
  const double threshold = (images[0].first + images[1].first) / 2;
  for (const int batch : {1, 2, 8}) {
    for (size_t place = 0; place < 4; ++place) {  // of the one above
      std::string command = predict;
      for (size_t i = 0; i < 4; ++i) command += images[i == place ? 0 : i < place ? i + 1 : i].second + " ";
      CAPTURE(batch);
      CAPTURE(place);
      const Outcome outcome = run_dinomaly(
          folder,
          command + fmt::format("--fail-on-anomaly --threshold {:.17g} --batch {}", threshold, batch));
      CHECK(outcome.status == 1);
    }
  }
}

TEST_CASE("predict: two images with the same name have separate results") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string a = (folder / "data/wood/test/good/000.png").string(),
                    b = (folder / "data/weave/test/good/000.png").string();
  const std::vector<json> lines =
      json_lines_of(run_dinomaly(folder, "predict " + (folder / "model").string() + " " + a + " " + b +
                                             " --json --out " + (folder / "out").string())
                        .out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].at("overlay") != lines[1].at("overlay"));
}

TEST_CASE("predict: tiles of a larger image") {
  const TemporaryFolder folder;
  make_small_project(folder);
  Image large(300, 200, 3);
  for (size_t i = 0; i < large.pixels.size(); ++i) large.pixels[i] = static_cast<uint8_t>(i * 7 % 255);
  save_png(folder / "large.png", large);
  const Outcome outcome = run_dinomaly(
      folder, "predict " + (folder / "model").string() + " " + (folder / "large.png").string() +
                  " --tile 64 --overlap 16 --json --map-format npy --out " + (folder / "out").string());
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  const std::string bytes = read_file(folder / "out/large.npy", 1 << 20);
  CHECK(bytes.substr(1, 5) == "NUMPY");
  CHECK(bytes.find("'shape': (200, 300)") != std::string::npos);
  CHECK(bytes.size() == 128 + 4 * 300 * 200);
}

TEST_CASE("eval: both protocols, files of numbers, maps that are judged the same") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string base = "eval " + paths(folder), file = (folder / "numbers").string(),
                    maps = (folder / "maps").string();
  const Outcome paper = run_dinomaly(folder, base + " --json " + file + ".json --csv " + file + ".csv");
  CHECK_MESSAGE(paper.status == 0, paper.error);
  const json numbers = json::parse(read_file(file + ".json", 1 << 20));
  CHECK(numbers.at("protocol") == "paper");
  CHECK(numbers.at("categories").at("wood").at("pixel_ap").is_number());
  CHECK(numbers.at("mean").at("image_auroc").get<double>() ==
        doctest::Approx((numbers.at("categories").at("wood").at("image_auroc").get<double>() +
                         numbers.at("categories").at("weave").at("image_auroc").get<double>()) /
                        2));
  const std::string csv = read_file(file + ".csv", 1 << 20);
  CHECK(csv.starts_with("category,image_auroc,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 4);

  const Outcome official = run_dinomaly(folder, base + " --protocol official --export-maps " + maps);
  CHECK_MESSAGE(official.status == 0, official.error);
  CHECK(official.out.find("protocol official") != std::string::npos);
  CHECK(load_tiff_map(maps + "/wood/test/colour/000.tiff").shape() == Shape({64, 64}));
  CHECK(fs::exists(maps + "/weave/test/good/003.tiff"));
  const Outcome again =
      run_dinomaly(folder, "eval " + maps + " " + (folder / "data").string() + " --protocol official");
  CHECK(again.out == official.out);
}

TEST_CASE("predict: names that are not text stay on one line, and valid JSON") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string bytes = read_file(folder / "data/wood/test/good/000.png", 1 << 20);
  const std::string images = (folder / "images").string();
  write_file(folder / "images/two\nlines.png", bytes);
  write_file(folder / "images/torn\n.png", bytes.substr(0, 100));
  write_file(folder / "images/latin\xe9.png", bytes);
  const std::string call = "predict " + (folder / "model").string() + " " + images;
  const Outcome text = run_dinomaly(folder, call);
  CHECK(text.status == 2);
  CHECK(std::count(text.out.begin(), text.out.end(), '\n') == 2);
  CHECK(without_first_line(text.error) == fmt::format("dinomaly: {}/torn?.png: the image is cut short\n"
                                                      "dinomaly: 1 of 3 files was not judged\n",
                                                      images));
  std::istringstream lines(run_dinomaly(folder, call + " --json").out);
  int64_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(nlohmann::json::accept(line));
  CHECK(count == 3);
  // Two names that look the same: the bytes of the one that is not UTF-8 are beside it.
  write_file(folder / "two/\xe9.png", bytes);
  write_file(folder / "two/\\xE9.png", bytes);
  std::istringstream two(
      run_dinomaly(folder, "predict model two --json --out out", "cd " + folder.path().string() + "; ").out);
  std::string first, second;
  CHECK((std::getline(two, first) && std::getline(two, second)));
  const auto plain = nlohmann::json::parse(first), bytewise = nlohmann::json::parse(second);
  CHECK(plain.at("image") == bytewise.at("image"));
  CHECK_FALSE(plain.contains("image_bytes"));
  CHECK(bytewise.at("image_bytes") == "74776f2fe92e706e67");
  CHECK(bytewise.at("overlay_bytes") == "6f75742fe95f6f7665726c61792e706e67");
  // Also the model's own name.
  fs::rename(folder / "model", folder / "mod\xe9l");
  const Outcome info = run_dinomaly(folder, "info --json " + (folder / "mod\xe9l").string());
  CHECK(info.status == 0);
  CHECK(nlohmann::json::parse(info.out).at("kind") == "detector");
}
