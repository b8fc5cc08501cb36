// Images that are judged tile by tile while they are read: the same numbers as of those in memory.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/image/tile_reader.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/inference/streams.h"
#include "dinomaly/model/model_file.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/dinomaly/small_model.h"

namespace dinomaly {

namespace {

Image spotted(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  return image;
}

struct Judged {
  InputImage image;
  double score;
  std::vector<float> map;
};

// As predict does, an image of more than `most` pixels being read in strips.
Judged judge(const Predictor& predictor, const std::filesystem::path& path, int64_t most) {
  Judged result;
  ReadAhead images(in_order({path}), [&](const Image& rgb) { return predictor.inputs(rgb); },
                   {.whole = {.pixels = most}, .tiling = predictor.tiling()});
  Streams streams(predictor, [&](const InputImage& image, const Prediction& prediction) {
    result.image = image;
    if (!image.error.empty()) return;
    result.score = prediction.score;
    result.map = prediction.map().to_vector<float>();
  });
  streams.add(images.next(1));
  streams.finish();
  return result;
}

}  // namespace

TEST_CASE("strips: score and map have the bits of the image in memory, whatever the batch") {
  const TemporaryFolder folder;
  save_png(folder / "a.png", spotted(230, 150));
  const auto model = small_model();
  for (const auto& [tiling, batch] :
       {std::pair<Tiling, int64_t>{{64, 16}, 3}, {{56, 0}, 1}, {{300, 0}, 16}}) {
    const Predictor predictor(*model, {tiling}, batch);
    const Judged whole = judge(predictor, folder / "a.png", 1 << 20),
                 strips = judge(predictor, folder / "a.png", 1000);
    REQUIRE(whole.map.size() == 230 * 150);
    CHECK(strips.score == whole.score);
    CHECK(strips.map == whole.map);
    CHECK((strips.image.width == 230 && strips.image.height == 150));
    CHECK(strips.image.rgb == whole.image.rgb);
    CHECK(strips.image.grey == whole.image.grey);
  }
}

TEST_CASE("strips: an image stored on its side has the map of the one in memory") {
  const TemporaryFolder folder;
  const auto model = small_model();
  const Predictor predictor(*model, {{64, 16}}, 4);
  for (const int orientation : {3, 6, 8}) {
    write_file(folder / "a.png", png_with_exif(encode_png(spotted(150, 230)), orientation));
    const Judged whole = judge(predictor, folder / "a.png", 1 << 20),
                 strips = judge(predictor, folder / "a.png", 1000);
    CHECK(strips.image.width == whole.image.width);
    CHECK(strips.score == whole.score);
    REQUIRE(strips.map.size() == whole.map.size());
    for (size_t i = 0; i < whole.map.size(); ++i)  // tiles are added up in another order
      REQUIRE(strips.map[i] == doctest::Approx(whole.map[i]).epsilon(1e-5));
  }
}

TEST_CASE("strips: a file that is damaged further down is an error with its name, not a verdict") {
  const TemporaryFolder folder;
  TiffFormat format{.width = 230, .height = 150, .samples = 3, .photometric = PHOTOMETRIC_RGB};
  format.compression = COMPRESSION_LZW;
  write_tiff(folder / "a.tif", format, {text_of(spotted(230, 150).pixels)});
  std::string bytes = read_file(folder / "a.tif", 1 << 20);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2),
            bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() * 3 / 4), '\xff');
  write_file(folder / "a.tif", bytes);
  const auto model = small_model();
  const Judged strips = judge(Predictor(*model, {{64, 16}}, 2), folder / "a.tif", 1000);
  CHECK_MESSAGE(one_line_with(strips.image.error, "a.tif: "), strips.image.error);
  CHECK(strips.image.width == 0);
}

TEST_CASE("strips: images of a data set, as calibrate and eval judge them") {
  const TemporaryFolder folder;
  save_png(folder / "long.png", spotted(33000, 16));
  const auto model = small_model();
  const Predictor predictor(*model, {{2048, 0}}, 8);
  Sample sample;
  sample.image = folder / "long.png";
  int64_t judged = 0;
  for_each_prediction(predictor, {sample},
                      {[&](const Sample&, const InputImage& image, const Prediction& prediction) {
                        ++judged;
                        CHECK(image.width == 33000);
                        CHECK(prediction.map().shape() == Shape({16, 33000}));
                      }});
  CHECK(judged == 1);
}

TEST_CASE("predict: an image of more than 67 million pixels is judged with --tile, and refused without") {
  const TemporaryFolder folder;
  const auto model = small_model();
  save_model(folder / "model", *model, model->encoder().config());
  std::string bitmap = "P4 8200 8200\n" + std::string(1025 * 8200, '\x0f');
  for (size_t row = 0; row < 3000; ++row)
    bitmap.replace(13 + row * 1025 + 100, 300, std::string(300, '\xff'));
  write_file(folder / "large.pbm", bitmap);
  const std::string call =
      fmt::format("predict {0}/model {0}/large.pbm --json --pixel-threshold 0 ", folder.path().string());
  const Outcome refused = run_dinomaly(folder, call);
  CHECK(refused.status == 2);
  CHECK_MESSAGE(contains(refused.error, "large.pbm: 8200 x 8200 pixels are more than the limit of 67108864"),
                refused.error);
  CHECK(contains(refused.error, "--tile"));
  const Outcome judged =
      run_dinomaly(folder, call + "--tile 4100 --overlap 0 --out " + (folder / "out").string());
  REQUIRE_MESSAGE(judged.status == 0, judged.error);
  const auto line = nlohmann::json::parse(judged.out);
  CHECK(line.at("inspected") == std::vector<int64_t>{0, 0, 8200, 8200});
  CHECK(line.at("score") > 0);
  CHECK(line.at("regions").size() == 1);
  const std::string overlay = read_file(folder / "out/large_overlay.png", 1 << 28);
  CHECK(contains(overlay.substr(0, 256), "2733 x 2733 of 8200 x 8200 pixels"));
  CHECK(load_image_rgb(folder / "out/large_overlay.png").width == 2733);
}

TEST_CASE("eval: images and masks longer than 32768 pixels are judged with --tile, and refused without") {
  const TemporaryFolder folder;
  const auto model = small_model();
  save_model(folder / "model", *model, model->encoder().config());
  const auto web = folder / "data/web";
  for (const char* part : {"train/good", "test/good", "test/spot", "ground_truth/spot"})
    std::filesystem::create_directories(web / part);
  Image mask(33000, 16, 1);
  std::fill_n(mask.at(32900, 4), 20, uint8_t{255});
  for (const char* image : {"train/good/0.png", "test/good/0.png", "test/spot/0.png"})
    save_png(web / image, spotted(33000, 16));
  save_png(web / "ground_truth/spot/0_mask.png", mask);
  const std::string call =
      fmt::format("eval {0}/model {0}/data --protocol official --json - ", folder.path().string());
  const Outcome refused = run_dinomaly(folder, call);
  CHECK(refused.status == 2);
  CHECK_MESSAGE(contains(refused.error, "a side must be within 1..32768 (predict, eval and calibrate read"),
                refused.error);
  const Outcome judged = run_dinomaly(folder, call + "--tile 2048 --overlap 0");
  REQUIRE_MESSAGE(judged.status == 0, judged.error);
  CHECK(nlohmann::json::parse(judged.out).at("categories").at("web").at("aupro").is_number());
  // calibrate compares with thresholds that were found without tiles where an image can be judged so.
  Calibration untiled;
  untiled.all = {1, 1};
  untiled.good_images = 1;
  save_model(folder / "calibrated", *model, model->encoder().config(), {.calibration = untiled});
  const Outcome calibrated =
      run_dinomaly(folder, fmt::format("calibrate {0}/calibrated {0}/data --tile 2048 --overlap 0 --force",
                                       folder.path().string()));
  CHECK_MESSAGE(calibrated.status == 0, calibrated.error);
  mask = Image(33000, 15, 1);
  *mask.at(0, 0) = 255;
  save_png(web / "ground_truth/spot/0_mask.png", mask);
  const Outcome differs = run_dinomaly(folder, call + "--tile 2048 --overlap 0");
  CHECK(differs.status == 2);
  CHECK_MESSAGE(contains(differs.error, "0_mask.png: the mask is 33000 x 15, its image 33000 x 16"),
                differs.error);
}

TEST_CASE("predict: an image longer than 32768 pixels, as line cameras make, with its map") {
  const TemporaryFolder folder;
  make_small_project(folder);
  save_png(folder / "in/long.png", spotted(40000, 48));
  for (const char* format : {"npy", "tiff"}) {
    const Outcome outcome = run_dinomaly(
        folder, fmt::format("predict {0}/model {0}/in --tile 2048 --overlap 0 --map-format {1} --out {0}/{1}",
                            folder.path().string(), format));
    CHECK_MESSAGE(outcome.status == 0, outcome.error);
  }
  CHECK(contains(read_file(folder / "npy/long.npy", 1 << 24), "'shape': (48, 40000)"));
  CHECK(std::filesystem::file_size(folder / "tiff/long.tiff") > 4 * 48 * 40000);
}

}  // namespace dinomaly
