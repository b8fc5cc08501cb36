#include "dinomaly/synthetic/procedural.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <set>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/synthetic/defects.h"
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

int64_t count_of(const Image& image, uint8_t value) {
  return std::count(image.pixels.begin(), image.pixels.end(), value);
}

// What a defect does to a specimen, within its mask.
struct Change {
  double area = 0, width = 0, height = 0;  // of the mask, shares of the image and its sides
  double mean = 0;                         // of the channels' differences, of 255
  double brightness = 0;                   // luminance after over before
  double tint = 0;                         // the greatest change of a channel's share in the sum of all
};

Change change_by(const Scene& scene, uint64_t stream, Defect defect) {
  constexpr int64_t size = 128;
  const Image before = draw_specimen(scene, size, 3, stream, Defect::none).image;
  const Specimen after = draw_specimen(scene, size, 3, stream, defect);
  double marked = 0, difference = 0, old_sums[3] = {}, new_sums[3] = {};
  int64_t left = size, right = 0, top = size, bottom = 0;
  for (int64_t i = 0; i < size * size; ++i) {
    if (after.mask.pixels[i] == 0) continue;
    marked += 1;
    left = std::min(left, i % size), right = std::max(right, i % size + 1);
    top = std::min(top, i / size), bottom = std::max(bottom, i / size + 1);
    for (int64_t c = 0; c < 3; ++c) {
      const double was = before.pixels[3 * i + c], is = after.image.pixels[3 * i + c];
      difference += std::abs(was - is) / 3, old_sums[c] += was, new_sums[c] += is;
    }
  }
  REQUIRE(marked > 0);
  const auto colour = [](const double* sums) { return Colour{sums[0], sums[1], sums[2]}; };
  const auto share = [](const double* sums, int64_t c) { return sums[c] / (sums[0] + sums[1] + sums[2]); };
  Change change{.area = marked / (size * size),
                .width = static_cast<double>(right - left) / size,
                .height = static_cast<double>(bottom - top) / size,
                .mean = difference / marked,
                .brightness = luminance(colour(new_sums)) / luminance(colour(old_sums))};
  for (int64_t c = 0; c < 3; ++c)
    change.tint = std::max(change.tint, std::abs(share(new_sums, c) - share(old_sums, c)));
  return change;
}

}  // namespace

TEST_CASE("procedural: a data set that read_mvtec reads: its counts, and a mask for every kind of defect") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", small);
  const Dataset dataset = read_mvtec(folder / "set");
  REQUIRE(dataset.categories.size() == procedural_categories().size());
  for (const Category& category : dataset.categories) {
    CAPTURE(category.name);
    CHECK(category.train.size() == 3);
    REQUIRE(category.test.size() == 2 + all_defects.size());
    std::multiset<std::string> defects;
    for (const Sample& sample : category.test) {
      CAPTURE(sample.defect);
      const Image image = load_image_rgb(sample.image);
      CHECK(image.width == 48);
      CHECK(sample.anomalous == (sample.defect != "good"));
      CHECK(sample.anomalous == sample.mask.has_value());
      if (!sample.anomalous) continue;
      defects.insert(sample.defect);
      const Image mask = load_mask(*sample.mask, image.width, image.height);
      const auto marked = std::count(mask.pixels.begin(), mask.pixels.end(), 255);
      CHECK(marked + std::count(mask.pixels.begin(), mask.pixels.end(), 0) == 48 * 48);
      CHECK(marked > 0);
      CHECK(marked < 48 * 48 / 10);
    }
    for (const NamedDefect& defect : all_defects) CHECK(defects.count(std::string(defect.name)) == 1);
  }
}

TEST_CASE("procedural: a mask is exactly the pixels that the defect changed; good parts have none") {
  for (const Scene& scene : scenes()) {
    CAPTURE(scene.name);
    const Specimen good = draw_specimen(scene, 96, 11, 0, Defect::none);
    CHECK(count_of(good.mask, 255) == 0);
    for (const NamedDefect& defect : all_defects) {
      CAPTURE(defect.name);
      const Specimen spoilt = draw_specimen(scene, 96, 11, 0, defect.kind);
      int64_t wrong = 0;
      for (int64_t i = 0; i < 96 * 96; ++i) {
        bool changed = false;
        for (int64_t c = 0; c < 3; ++c)
          changed |= good.image.pixels[3 * i + c] != spoilt.image.pixels[3 * i + c];
        wrong += spoilt.mask.pixels[i] != (changed ? 255 : 0);
      }
      CHECK(wrong == 0);
      CHECK(count_of(spoilt.mask, 255) > 0);
    }
  }
}

TEST_CASE("procedural: each kind of defect is what it is called") {
  for (const Scene& scene : scenes()) {
    for (uint64_t stream = 0; stream < 6; ++stream) {
      CAPTURE(scene.name);
      CAPTURE(stream);
      const auto change = [&](Defect defect) { return change_by(scene, stream << 32, defect); };
      const Change small_one = change(Defect::small);
      CHECK(std::max(small_one.width, small_one.height) <= 0.06);
      CHECK(small_one.mean > 25);  // small, but plain to see
      const Change faint = change(Defect::low_contrast);
      CHECK(faint.brightness == doctest::Approx(0.85).epsilon(0.02));
      CHECK(faint.tint < 0.02);
      const Change hue = change(Defect::colour);
      CHECK(hue.brightness == doctest::Approx(1).epsilon(0.03));
      CHECK(hue.tint > 0.03);
      for (const Defect coarse : {Defect::missing_part, Defect::structural}) {
        const Change part = change(coarse);
        CHECK(part.area > 0.002);
        CHECK(part.area < 0.08);
        CHECK(part.mean > 10);
      }
    }
  }
}

TEST_CASE("procedural: the seed alone decides; another seed draws others") {
  const TemporaryFolder folder;
  ProceduralOptions options = small;
  options.categories = {"wood"};
  make_dataset(folder / "a", options);
  make_dataset(folder / "b", small);  // alone or among others
  const std::string name = "wood/test/structural/000.png";
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
  CHECK(files.size() == 1 + 2 * (3 + 2 + 5 + 5));

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

TEST_CASE("procedural: a set that holds a file which was not drawn is never replaced") {
  const TemporaryFolder folder;
  ProceduralOptions options = small, other = small;
  options.categories = other.categories = {"wood"};
  other.train = 2;
  const fs::path set = folder / "set";
  make_dataset(set, options);
  for (const char* name :
       {"notes.txt", "out/model.safetensors", "wood/train/good/mine.png", "wood/train/good/003.png",
        "wood/ground_truth/small/000.png", "weave/train/good/000.png", "wood/test/scratch/000.png"}) {
    CAPTURE(name);
    write_file(set / name, "not to be lost");
    write_file((set / name).parent_path() / ".mark", "");
    const std::vector<std::string> before = all_files(set);
    const std::string message = input_error([&] { make_dataset(set, other); });
    CHECK_MESSAGE(one_line_with(message, (set / name).string() + ": not drawn"), message);
    CHECK(all_files(set) == before);
    CHECK(make_dataset(set, options) == Drawing::kept);  // nothing would be replaced
    fs::remove(set / name), fs::remove((set / name).parent_path() / ".mark");
  }
  fs::create_directory_symlink(folder.path(), set / "wood/link");
  CHECK(one_line_with(input_error([&] { make_dataset(set, other); }), "wood/link: not drawn"));
  fs::remove(set / "wood/link");
  CHECK(make_dataset(set, other) == Drawing::done);
}

TEST_CASE("procedural: a set of the first version is replaced, its defects had other names") {
  const TemporaryFolder folder;
  const char* marker = R"({"made_by": "dinomaly.cpp", "version": 1, "train": 1, "per_defect": 1,
                           "categories": ["wood"]})";
  for (const char* name : {"train/good/000.png", "test/burn/000.png", "ground_truth/burn/000_mask.png"})
    write_file(folder / "set/wood" / name, "drawn");
  write_file(folder / "set/dataset.json", marker);
  CHECK(make_dataset(folder / "set", small) == Drawing::done);
  CHECK_FALSE(fs::exists(folder / "set/wood/test/burn"));
}

TEST_CASE("procedural: images that have gone are drawn again, and a set that is whole is kept") {
  const TemporaryFolder folder;
  ProceduralOptions options = small;
  options.categories = {"wood"};
  CHECK(make_dataset(folder / "set", options) == Drawing::done);
  for (const char* name :
       {"train/good/002.png", "test/good/000.png", "test/small/000.png", "ground_truth/small/000_mask.png"}) {
    CAPTURE(name);
    const fs::path image = folder / "set/wood" / name;
    const std::string bytes = read_file(image, 1 << 20);
    fs::remove(image);
    CHECK(make_dataset(folder / "set", options) == Drawing::done);
    CHECK(read_file(image, 1 << 20) == bytes);
    CHECK(make_dataset(folder / "set", options) == Drawing::kept);
  }
}

TEST_CASE("procedural: stopped, it leaves what was there and nothing else; what a killed program left goes") {
  const TemporaryFolder folder;
  ProceduralOptions options = small;
  options.categories = {"wood"};
  make_dataset(folder / "set", options);
  const std::vector<std::string> before = all_files(folder.path());
  options.seed = 8;
  std::atomic<int> asked = 0;
  CHECK(make_dataset(folder / "set", options, [&] { return ++asked > 2; }) == Drawing::stopped);
  CHECK(all_files(folder.path()) == before);
  // 999999999: beyond the largest number of a process.
  write_file(folder / ".set.999999999-0.tmp/wood/000.png", "left");
  const std::string others[] = {fmt::format(".set.{}-9.tmp/at_work", getpid()),
                                ".sets.999999999-0.tmp/of_another", ".set.old.999999999-0.tmp/of_another",
                                ".set.999999999-0.tmp.png"};
  for (const std::string& name : others) write_file(folder / name, "kept");
  make_dataset(folder / "set", options);
  CHECK(all_files(folder.path()).size() == before.size() + std::size(others));
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
