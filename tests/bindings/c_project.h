// What tests of the C API share: a calibrated model, and what the program says of its images.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dinomaly/image/tiff_map.h"
#include "include/dinomaly.h"
#include "tests/dinomaly/cli/program.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

// A calibrated model and images, and one of these with what the program says about it.
class Project {
 public:
  Project() {
    make_small_project(folder);
    model = (folder / "model").string();
    const Outcome calibrated = run_dinomaly(
        folder, "calibrate " + model + " " + (folder / "data").string() + " --false-alarm-rate 0.3");
    REQUIRE_MESSAGE(calibrated.status == 0, calibrated.error);
    for (const auto& entry : fs::recursive_directory_iterator(folder / "data/wood/test"))
      if (entry.path().extension() == ".png") images.push_back(entry.path().string());
    std::sort(images.begin(), images.end());
  }
  // The program's line about an image; with a folder of its own for its map.
  json said(const std::string& image, const std::string& flags = "") const {
    const Outcome outcome = run_dinomaly(folder, "predict " + model + " " + image +
                                                     " --json --no-overlay --map-format tiff --out " +
                                                     (folder / "said").string() + " " + flags);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.error);
    return json_lines_of(outcome.out).at(0);
  }
  dinomaly_detector* open(const dinomaly_options* options = nullptr) const {
    dinomaly_detector* detector = nullptr;
    const dinomaly_status status = dinomaly_open(model.c_str(), options, &detector);
    REQUIRE_MESSAGE(status == DINOMALY_OK, dinomaly_last_error());
    return detector;
  }

  TemporaryFolder folder;
  std::string model;
  std::vector<std::string> images;
};

inline std::vector<float> map_of(const dinomaly_result* result) {
  const float* map = dinomaly_result_map(result);
  return {map, map + dinomaly_result_width(result) * dinomaly_result_height(result)};
}

// The JSON of a result and the map behind it are what the program said about the image.
inline void check_is(const dinomaly_result* result, json said, const std::string& name) {
  const std::vector<float> map = load_tiff_map(said.at("map").get<std::string>()).to_vector<float>();
  CHECK(map_of(result) == map);
  said.erase("map");
  said["image"] = name;
  CHECK(json::parse(dinomaly_result_json(result)) == said);
  CHECK(dinomaly_result_score(result) == said.at("score").get<float>());
  CHECK(static_cast<float>(dinomaly_result_threshold(result)) == said.at("threshold").get<float>());
  CHECK(static_cast<float>(dinomaly_result_pixel_threshold(result)) ==
        said.at("pixel_threshold").get<float>());
  CHECK((dinomaly_result_decision(result) == DINOMALY_ANOMALOUS) == said.at("anomalous").get<bool>());
  REQUIRE(dinomaly_result_region_count(result) == said.at("regions").size());
  for (size_t i = 0; i < said.at("regions").size(); ++i) {
    dinomaly_region region;
    REQUIRE(dinomaly_result_region(result, i, &region) == DINOMALY_OK);
    const json& expected = said.at("regions")[i];
    CHECK(json{region.x, region.y, region.width, region.height} == expected.at("box"));
    CHECK(json{region.peak_x, region.peak_y} == expected.at("peak_at"));
    CHECK(region.area == expected.at("area").get<int64_t>());
    CHECK(static_cast<float>(region.peak) == expected.at("peak").get<float>());
    CHECK(region.centroid_x == doctest::Approx(expected.at("centroid")[0].get<double>()).epsilon(0.001));
    CHECK(region.centroid_y == doctest::Approx(expected.at("centroid")[1].get<double>()).epsilon(0.001));
  }
}

inline std::string failure(dinomaly_status status, dinomaly_status expected) {
  CHECK(status == expected);
  return dinomaly_last_error();
}

inline dinomaly_options no_options() {
  dinomaly_options options = {};
  options.size = sizeof options;
  return options;
}

}  // namespace dinomaly
