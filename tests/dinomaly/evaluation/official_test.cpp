// The official mode of evaluation: TIFF maps on disk, beside the masks of a data set.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/evaluate_official.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

constexpr int64_t map_side = 16;

// Two good images and two with a square defect.
Category make_category(const TemporaryFolder& folder) {
  for (const char* file : {"part/train/good/0.png", "part/test/good/0.png", "part/test/good/1.png",
                           "part/test/hole/0.png", "part/test/hole/1.png"}) {
    save_png(folder / file, Image(map_side, map_side, 3));
  }
  Image mask(map_side, map_side, 1);
  for (int64_t y = 4; y < 8; ++y) std::fill(mask.at(4, y), mask.at(8, y), uint8_t{255});
  for (const char* id : {"0", "1"})
    save_png(folder / ("part/ground_truth/hole/" + std::string(id) + "_mask.png"), mask);
  return read_mvtec(folder.path()).categories.at(0);
}

// `inside` in the square, `outside` elsewhere.
void save_maps(const TemporaryFolder& folder, float inside, float outside) {
  for (const char* defect : {"good", "hole"}) {
    for (const char* id : {"0", "1"}) {
      const Tensor map = Tensor::full({map_side, map_side}, outside);
      if (std::string(defect) == "hole") map.slice(0, 4, 8).slice(1, 4, 8).fill(inside);
      save_tiff_map(folder / ("maps/part/test/" + std::string(defect) + "/" + id + ".tiff"), map);
    }
  }
}

}  // namespace

TEST_CASE("a TIFF map comes back with all its bits") {
  const TemporaryFolder folder;
  Generator generator(5);
  const Tensor map = Tensor::normal({37, 21}, 0, 1, generator);
  save_tiff_map(folder / "deep/down/map.tiff", map);
  const Tensor back = load_tiff_map(folder / "deep/down/map.tiff");
  CHECK(back.shape() == map.shape());
  CHECK(back.to_vector<float>() == map.to_vector<float>());
}

TEST_CASE("official mode: perfect maps score 1, inverted ones 0") {
  const TemporaryFolder folder;
  const Category category = make_category(folder);
  save_maps(folder, 1.0f, 0.0f);
  const OfficialMetrics perfect = evaluate_official(folder / "maps", category);
  CHECK(perfect.aupro == doctest::Approx(1.0));
  CHECK(perfect.image_auroc == 1.0);
  save_maps(folder, -1.0f, 0.0f);
  const OfficialMetrics inverted = evaluate_official(folder / "maps", category);
  CHECK(inverted.aupro <
        0.2);  // all normal pixels come first, as one tie: the interpolated start of the curve is left
  CHECK(inverted.image_auroc == 0.5);  // the maximum of every map is 0
}

TEST_CASE("official mode names the map that is missing, cut short, not a TIFF or of another size") {
  const TemporaryFolder folder;
  const Category category = make_category(folder);
  save_maps(folder, 1.0f, 0.0f);
  const auto path = folder / "maps/part/test/hole/1.tiff";
  const std::string whole = read_file(path, 1 << 20);
  const auto fails_with = [&](const char* text) {
    CHECK_THROWS_WITH_AS(evaluate_official(folder / "maps", category), doctest::Contains(text), InputError);
    CHECK_THROWS_WITH_AS(evaluate_official(folder / "maps", category), doctest::Contains("hole/1"),
                         InputError);
  };
  std::filesystem::remove(path);
  fails_with("no such file");
  write_file(path, "this is no image");
  fails_with("not a TIFF");
  for (size_t length = 0; length < whole.size(); length += 97) {
    write_file(path, whole.substr(0, length));
    CHECK_THROWS_AS(load_tiff_map(path), InputError);
  }
  std::filesystem::remove(path);  // what is no map is not replaced
  save_tiff_map(path, Tensor::full({map_side, map_side + 1}, 1));
  fails_with("1_mask.png");
  save_tiff_map(path, Tensor::full({map_side, map_side}, NAN));
  fails_with("not finite");
}
