// What a verdict says: which threshold spoke, which pixels were looked at, how the image is unlike the others.
#include <doctest/doctest.h>
#include <zlib.h>

#include <nlohmann/json.hpp>

#include "dinomaly/image/png_text.h"
#include "dinomaly/report/prediction_output.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

Verdict whole_verdict(double score, size_t regions) {
  Verdict verdict;
  verdict.path = "a.png";
  verdict.width = 40, verdict.height = 30, verdict.inspected = {0, 0, 40, 30};
  verdict.score = score, verdict.threshold = 0.5, verdict.pixel_threshold = 0.6;
  verdict.anomalous = score > 0.5;
  verdict.regions.resize(regions);
  return verdict;
}

json exceeded(const Verdict& verdict) { return to_json(verdict).at("exceeded"); }

}  // namespace

TEST_CASE("verdict: where the thresholds of images and pixels disagree, it says which one spoke") {
  CHECK(to_text(whole_verdict(0.1, 0)) == "good       0.100000  a.png");
  CHECK(to_text(whole_verdict(0.9, 2)) == "anomalous  0.900000  a.png  (2 regions)");
  const std::string score_only = to_text(whole_verdict(0.9, 0)),
                    regions_only = to_text(whole_verdict(0.1, 1));
  CHECK_MESSAGE(contains(score_only, "no region: the score is above the threshold of images"), score_only);
  CHECK_MESSAGE(contains(regions_only, "1 region above the threshold of pixels; the score is not above"),
                regions_only);
  CHECK(exceeded(whole_verdict(0.1, 0)) == json::array());
  CHECK(exceeded(whole_verdict(0.9, 2)) == json({"image", "pixel"}));
  CHECK(exceeded(whole_verdict(0.9, 0)) == json({"image"}));
  CHECK(exceeded(whole_verdict(0.1, 1)) == json({"pixel"}));
  CHECK(to_json(whole_verdict(0.1, 1)).at("pixel_threshold") == 0.6);
  Verdict without = whole_verdict(0.1, 1);
  without.threshold.reset();
  CHECK(to_text(without) == "-          0.100000  a.png  (1 region)");
}

TEST_CASE("verdict: it names the pixels that were looked at") {
  Verdict verdict = whole_verdict(0.1, 0);
  CHECK(inspected_text(verdict) == "whole image");
  CHECK(to_json(verdict).at("area") == "whole");
  verdict.inspected = {5, 4, 30, 22};
  CHECK(to_json(verdict).at("area") == "crop");
  CHECK(to_json(verdict).at("inspected") == json({5, 4, 30, 22}));
  CHECK(contains(to_text(verdict), "(inspected: 30 x 22 pixels at (5, 4))"));
}

TEST_CASE("png text: a chunk after the header, its checksum right, the pixels as they were") {
  const TemporaryFolder folder;
  Image image(5, 4, 3);
  image.pixels[7] = 200;
  const std::string bytes = with_png_text(encode_png(image), "Inspected", "whole image");
  write_file(folder / "a.png", bytes);
  CHECK(load_image_rgb(folder / "a.png") == image);
  const size_t at = bytes.find("tEXt");
  REQUIRE(at == 8 + 25 + 4);
  const std::string chunk = bytes.substr(at, 4 + 9 + 1 + 11);
  CHECK(chunk == std::string("tEXtInspected\0whole image", 25));
  CHECK(static_cast<uint8_t>(bytes[at - 1]) == 21);
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(chunk.size()));
  for (size_t i = 0; i < 4; ++i)
    CHECK(static_cast<uint8_t>(bytes[at + 25 + i]) == static_cast<uint8_t>(crc >> (24 - 8 * i)));
}

TEST_CASE("predict: an overlay says which pixels were looked at") {
  const TemporaryFolder folder;
  make_small_project(folder);
  run_well(folder, "predict " + (folder / "model").string() + " " +
                       (folder / "data/wood/test/good/000.png").string() + " --out " +
                       (folder / "out").string());
  CHECK(contains(bytes_of(folder / "out/000_overlay.png"), std::string("tEXtInspected\0whole image", 25)));
}

TEST_CASE("predict: an overlay says whether its colours are calibrated") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const auto overlay = [&](const std::string& out) {
    run_well(folder, "predict " + (folder / "model").string() + " " +
                         (folder / "data/wood/test/good/000.png").string() + " --out " +
                         (folder / out).string());
    return bytes_of(folder / out / "000_overlay.png");
  };
  const std::string before = overlay("before");
  CHECK(contains(before, "tEXtColours"));
  CHECK(contains(before, ", not calibrated: by this map alone"));
  run_well(folder, "calibrate " + (folder / "model").string() + " " + (folder / "data").string());
  CHECK(contains(overlay("after"), ", calibrated"));
}

TEST_CASE("a verdict's line of CSV says what JSON says: area, which threshold spoke, warnings") {
  Verdict verdict;
  verdict.path = "a.png";
  verdict.width = verdict.height = 64;
  verdict.inspected = {4, 6, 56, 50};
  verdict.score = 0.7f, verdict.threshold = 0.5, verdict.pixel_threshold = 0.6;
  verdict.anomalous = true;
  verdict.regions.resize(2);
  verdict.warnings = {{"smaller", "smaller, by half"}, {"grey", "grey"}};
  CHECK(csv_header() ==
        "image,width,height,score,threshold,anomalous,regions,overlay,map,error,area,inspected,pixel_"
        "threshold,exceeded,"
        "warnings,roi");
  CHECK(to_csv(verdict) ==
        "a.png,64,64,0.7,0.5,true,2,,,,crop,4 6 56 50,0.6,image pixel,\"smaller, by half; grey\",");
  verdict.anomalous = false, verdict.inspected = {0, 0, 64, 64}, verdict.warnings.clear();
  verdict.roi = {{10, 20, 30, 25}, 700, ""};
  CHECK(to_csv(verdict) == "a.png,64,64,0.7,0.5,false,2,,,,whole,0 0 64 64,0.6,pixel,,10 20 30 25 700");
  verdict.error = "torn";
  CHECK(to_csv(verdict) == "a.png,,,,,,,,,torn,,,,,,");
}
