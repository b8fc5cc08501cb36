#include "dinomaly/synthetic/procedural.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/synthetic/scenes.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

const ProceduralOptions small{
    .seed = 7, .size = 48, .train = 3, .good = 2, .per_defect = 1, .categories = {}};

std::vector<std::string> all_files(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), root).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("procedural: a data set that read_mvtec reads, masks where the defects are") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", small);
  const Dataset dataset = read_mvtec(folder / "set");
  REQUIRE(dataset.categories.size() == procedural_categories().size());
  for (const Category& category : dataset.categories) {
    CAPTURE(category.name);
    CHECK(category.train.size() == 3);
    CHECK(category.test.size() == 2 + 3);
    for (const Sample& sample : category.test) {
      const Image image = load_image_rgb(sample.image);
      CHECK(image.width == 48);
      if (!sample.anomalous) continue;
      const Image mask = load_mask(*sample.mask, image.width, image.height);
      const auto marked = std::count(mask.pixels.begin(), mask.pixels.end(), 255);
      CHECK(marked + std::count(mask.pixels.begin(), mask.pixels.end(), 0) == 48 * 48);
      CHECK(marked > 48 * 48 / 100);
      CHECK(marked < 48 * 48 / 5);
    }
  }
}

TEST_CASE("procedural: a defect changes what its mask covers, and only that or its shadow") {
  for (const Scene& scene : scenes()) {
    for (std::string_view defect : scene.defects) {
      CAPTURE(scene.name);
      CAPTURE(defect);
      // The same specimen with and without the defect.
      Canvas normal(96), defective(96);
      Generator first(11), second(11);
      scene.draw(normal, first, "");
      scene.draw(defective, second, defect);
      Generator light(5), same_light(5);
      const Image before = normal.photograph(light), after = defective.photograph(same_light);
      double inside = 0, outside = 0, marked = 0;
      for (int64_t i = 0; i < 96 * 96; ++i) {
        double change = 0;
        for (int64_t c = 0; c < 3; ++c)
          change += std::abs(before.pixels[3 * i + c] - after.pixels[3 * i + c]) / 3.0;
        const bool is_marked = defective.mask().pixels[i] > 0;
        marked += is_marked;
        (is_marked ? inside : outside) += change;
      }
      CHECK(std::count(normal.mask().pixels.begin(), normal.mask().pixels.end(), 255) == 0);
      REQUIRE(marked > 0);
      CHECK(inside / marked > 25);  // of 255: a person sees it
      CHECK(outside / (96 * 96 - marked) < 1.5);
    }
  }
}

TEST_CASE("procedural: the seed alone decides; another seed draws others") {
  const TemporaryFolder folder;
  ProceduralOptions options = small;
  options.categories = {"wood"};
  make_dataset(folder / "a", options);
  make_dataset(folder / "b", small);
  const std::string name = "wood/test/paint/000.png";
  CHECK(read_file(folder / "a" / name, 1 << 20) == read_file(folder / "b" / name, 1 << 20));
  options.seed = 8;
  make_dataset(folder / "c", options);
  CHECK(read_file(folder / "a" / name, 1 << 20) != read_file(folder / "c" / name, 1 << 20));
  CHECK(read_mvtec(folder / "c").categories.size() == 1);
}

TEST_CASE("procedural: an equal set is kept, another one replaced, a foreign folder left alone") {
  const TemporaryFolder folder;
  ProceduralOptions options = small;
  options.categories = {"weave", "flange"};
  fs::create_directories(folder / "set");  // empty: may be used
  make_dataset(folder / "set", options);
  const auto written = fs::last_write_time(folder / "set/weave/train/good/000.png");
  make_dataset(folder / "set/", options);
  CHECK(fs::last_write_time(folder / "set/weave/train/good/000.png") == written);
  const std::vector<std::string> files = all_files(folder / "set");
  CHECK(files.size() == 1 + 2 * (3 + 2 + 3 + 3));

  options.train = 4;
  make_dataset(folder / "set", options);
  CHECK(all_files(folder / "set").size() == files.size() + 2);

  write_file(folder / "mine/weave/photo.png", "not to be lost");
  CHECK(one_line_with(input_error([&] { make_dataset(folder / "mine", options); }), "left alone"));
  CHECK(all_files(folder / "mine").size() == 1);
  write_file(folder / "mine/dataset.json", "{\"made_by\": [");
  CHECK(one_line_with(input_error([&] { make_dataset(folder / "mine", options); }), "left alone"));
  CHECK(
      one_line_with(input_error([&] { make_dataset(folder / "mine/dataset.json", options); }), "left alone"));
  // Neither a temporary nor a replaced folder stays behind.
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 2);
}

TEST_CASE("procedural: options out of range are one clear line") {
  const TemporaryFolder folder;
  const auto message = [&](const ProceduralOptions& options) {
    return input_error([&] { make_dataset(folder / "set", options); });
  };
  ProceduralOptions options = small;
  options.categories = {"wood", "bottle"};
  CHECK(one_line_with(message(options), "--categories: there is no 'bottle'"));
  options = small;
  options.size = 8;
  CHECK(one_line_with(message(options), "--size: 8 is not within 32..2048"));
  options = small;
  options.train = 0;
  CHECK(one_line_with(message(options), "--train: 0 is not within"));
  CHECK_FALSE(fs::exists(folder / "set"));
}

}  // namespace dinomaly
