// include/dinomaly.h, through the shared library, against the program `dinomaly predict`.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/image/image.h"
#include "tests/bindings/c_project.h"

using namespace dinomaly;

TEST_CASE("C API: the numbers of a file, of its bytes and of its pixels are the program's") {
  const Project project;
  // Half way up, so that there are regions.
  const std::vector<float> map =
      load_tiff_map(project.said(project.images[0]).at("map").get<std::string>()).to_vector<float>();
  const auto [low, high] = std::minmax_element(map.begin(), map.end());
  const double pixel_threshold = (*low + *high) / 2;
  dinomaly_options options = no_options();
  options.pixel_threshold = &pixel_threshold;
  dinomaly_detector* detector = project.open(&options);
  CHECK(dinomaly_channels(detector) == 3);
  size_t regions = 0;
  for (const std::string& path : project.images) {
    const json said = project.said(path, fmt::format("--pixel-threshold {}", pixel_threshold));
    dinomaly_result* result = nullptr;
    REQUIRE(dinomaly_predict_file(detector, path.c_str(), &result) == DINOMALY_OK);
    check_is(result, said, path);
    regions += dinomaly_result_region_count(result);
    dinomaly_result_free(result);

    const std::string bytes = read_file(path, 1 << 20);
    REQUIRE(dinomaly_predict_encoded(detector, bytes.data(), bytes.size(), &result) == DINOMALY_OK);
    check_is(result, said, "image");
    dinomaly_result_free(result);

    // Rows with a gap, and with an alpha.
    const Image image = load_image_rgb(path);
    for (const int64_t channels : {3, 4}) {
      const int64_t stride = image.width * channels + 5;
      std::vector<uint8_t> pixels(static_cast<size_t>(stride * image.height), 77);
      for (int64_t y = 0; y < image.height; ++y)
        for (int64_t x = 0; x < image.width; ++x)
          std::copy_n(image.at(x, y), 3, pixels.data() + y * stride + x * channels);
      REQUIRE(dinomaly_predict_pixels(detector, pixels.data(), image.width, image.height, channels, stride,
                                      &result) == DINOMALY_OK);
      check_is(result, said, "image");
      dinomaly_result_free(result);
    }
  }
  CHECK(regions > 0);
  dinomaly_free(detector);
}

TEST_CASE("C API: an option means what the flag of its name means") {
  const Project project;
  const std::string& image = project.images.front();
  const auto check_options = [&](const dinomaly_options& options, const std::string& flags) {
    dinomaly_detector* detector = project.open(&options);
    dinomaly_result* result = nullptr;
    REQUIRE(dinomaly_predict_file(detector, image.c_str(), &result) == DINOMALY_OK);
    check_is(result, project.said(image, flags), image);
    dinomaly_result_free(result);
    dinomaly_free(detector);
  };
  const double threshold = 0.25, pixel_threshold = 0.2;
  dinomaly_options options = no_options();
  options.threshold = &threshold, options.pixel_threshold = &pixel_threshold, options.min_area = 7;
  options.threads = 1;
  check_options(options, "--threshold 0.25 --pixel-threshold 0.2 --min-area 7");
  const int64_t overlap = 8;
  options.tile = 40, options.overlap = &overlap;
  check_options(options, "--threshold 0.25 --pixel-threshold 0.2 --min-area 7 --tile 40 --overlap 8");
  options.overlap = nullptr;
  check_options(options, "--threshold 0.25 --pixel-threshold 0.2 --min-area 7 --tile 40");
  options.tile = 0, options.roi = "10,20,30,25+0,0,5,5";
  check_options(options, "--threshold 0.25 --pixel-threshold 0.2 --min-area 7 --roi 10,20,30,25+0,0,5,5");
}

TEST_CASE("C API: without thresholds there is no decision") {
  const Project project;
  save_model(project.folder / "model", *small_model(), small_model()->encoder().config());
  dinomaly_detector* detector = project.open();
  dinomaly_result* result = nullptr;
  REQUIRE(dinomaly_predict_file(detector, project.images[0].c_str(), &result) == DINOMALY_OK);
  CHECK(dinomaly_result_decision(result) == DINOMALY_UNDECIDED);
  CHECK(std::isnan(dinomaly_result_threshold(result)));
  CHECK(std::isnan(dinomaly_result_pixel_threshold(result)));
  CHECK(dinomaly_result_region_count(result) == 0);
  dinomaly_free(detector);
  CHECK(dinomaly_result_score(result) > 0);  // it outlives its detector
  dinomaly_result_free(result);
}
