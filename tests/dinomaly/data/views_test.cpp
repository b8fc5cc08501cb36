// Data sets whose images are views of objects, and masks of several files.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/image/image.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// "good/0_view1@thick/3 ...": defect/id@object, + for a mask.
std::string views_in(const std::vector<Sample>& samples) {
  std::string text;
  for (const Sample& sample : samples) {
    text += (text.empty() ? "" : " ") + sample.defect + "/" + sample.id + "@" + sample.object +
            (sample.mask ? "+" : "");
    CHECK(sample.anomalous == (sample.defect != "good"));
    CHECK(sample.anomalous == sample.mask.has_value());
  }
  return text;
}

// Five views of 256 columns, the last of `last`; view i is of value 10 (i + 1).
Image five_views(int64_t last = 256) {
  Image image(1024 + last, 256, 3);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t i = 0; i < 3 * image.width; ++i)
      image.row(y)[i] = static_cast<uint8_t>(10 * std::min<int64_t>(i / 3 / 256, 4) + 10);
  }
  return image;
}

Image marked(int64_t width, int64_t height, const std::vector<int64_t>& columns) {
  Image mask(width, height, 1);
  for (const int64_t x : columns) *mask.at(x, 1) = 255;
  return mask;
}

struct Manta {
  TemporaryFolder folder;
  fs::path root = folder / "manta", maize = root / "agriculture/maize";
  explicit Manta(int64_t last = 256) {
    for (const char* name : {"train/good/0.png", "train/good/1.png", "test/good/2.png", "test/mold/2.png"}) {
      fs::create_directories((maize / name).parent_path());
      save_png(maize / name, five_views(last));
    }
    fs::create_directories(maize / "ground_truth/mold");
    // A pixel at either end of the second view, one in the last column of all.
    save_png(maize / "ground_truth/mold/2.png", marked(1024 + last, 256, {256, 511, 1023 + last}));
  }
};

}  // namespace

TEST_CASE("views: the images of a folder of Real-IAD are an object; a view without a mask is normal") {
  const TemporaryFolder folder;
  const fs::path root = folder / "set", images = root / "realiad_1024/toy";
  for (const char* name :
       {"OK/S1/a.jpg", "OK/S1/b.jpg", "OK/S2/c.jpg", "NG/S1/d.jpg", "NG/S1/e.jpg", "NG/S1/d.png"})
    write_file(images / name, "");
  const auto entry = [](const char* label, const char* image, const json& mask) {
    return json{{"anomaly_class", label}, {"image_path", image}, {"mask_path", mask}};
  };
  const json list = {{"train", {entry("OK", "OK/S1/a.jpg", nullptr), entry("OK", "OK/S1/b.jpg", nullptr)}},
                     {"test",
                      {entry("AK", "NG/S1/e.jpg", nullptr), entry("OK", "OK/S2/c.jpg", nullptr),
                       entry("AK", "NG/S1/d.jpg", "NG/S1/d.png")}}};
  write_file(root / "realiad_jsons/toy.json", list.dump());
  const Category category = read_dataset(root).categories.at(0);
  CHECK(views_in(category.train) == "good/a@OK/S1 good/b@OK/S1");
  CHECK(views_in(category.test) == "AK/d@NG/S1+ good/c@OK/S2 good/e@NG/S1");
  for (const Sample& sample : category.test) CHECK(sample.grouping == Grouping::views);
  const auto with = [&](const char* part, const char* label) {
    json more = list;
    more[part].push_back(
        entry(label, "NG/S1/d.jpg", label == std::string("OK") ? json() : json("NG/S1/d.png")));
    write_file(root / "realiad_jsons/toy.json", more.dump());
    return input_error([&] { read_dataset(root); });
  };
  CHECK(one_line_with(with("train", "OK"), "NG/S1/d.jpg is named twice, as a training and a test image"));
  CHECK(one_line_with(with("test", "OK"), "NG/S1/d.jpg is named twice"));
}

TEST_CASE("views: a picture of MANTA is five views, its mask alike, from the root, a domain or a category") {
  const Manta manta;
  for (const fs::path& root : {manta.root, manta.root / "agriculture", manta.maize}) {
    const Dataset dataset = read_dataset(root);
    CHECK(dataset.layout == "MANTA");
    REQUIRE(dataset.categories.size() == 1);
    const Category& category = dataset.categories[0];
    CHECK(category.name == "maize");
    CHECK(category.train.size() == 10);
    CHECK(category.train[0].grouping == Grouping::strips);
    CHECK(
        views_in(category.test) ==
        "good/2_view1@good/2 good/2_view2@good/2 good/2_view3@good/2 good/2_view4@good/2 good/2_view5@good/2 "
        "good/mold_2_view1@mold/2 good/mold_2_view3@mold/2 good/mold_2_view4@mold/2 "
        "mold/2_view2@mold/2+ mold/2_view5@mold/2+");
    CHECK_NOTHROW(verify_images(category.test));
  }
  fs::rename(manta.maize / "ground_truth/mold/2.png", manta.maize / "ground_truth/mold/2_mask.png");
  CHECK(read_dataset(manta.root).categories.at(0).test.size() == 10);
  // Whole pictures, where they are asked for.
  const Dataset whole = read_dataset(manta.root / "agriculture", {}, Layout::mvtec);
  CHECK(whole.categories.at(0).test.size() == 2);
}

TEST_CASE("views: a view has its own columns, and the fifth all the rest") {
  const Manta manta(300);
  const Category category = read_dataset(manta.root, {}, Layout::manta).categories.at(0);
  for (size_t view = 0; view < 5; ++view) {
    const Image image = load_picture(picture_of(category.train.at(view)));
    CHECK(image.width == (view == 4 ? 300 : 256));
    CHECK(image.height == 256);
    for (const uint8_t pixel : image.pixels) REQUIRE(pixel == 10 * view + 10);
  }
  const Sample& second = category.test.at(8);
  REQUIRE(second.id == "2_view2");
  const Image mask = load_sample_mask_image(second, 256, 256);
  CHECK(std::count(mask.pixels.begin(), mask.pixels.end(), 255) == 2);
  CHECK(*mask.at(0, 1) == 255);
  CHECK(*mask.at(255, 1) == 255);
  CHECK(*load_sample_mask_image(category.test.at(9), 300, 256).at(299, 1) == 255);
  CHECK(one_line_with(input_error([&] { load_sample_mask_image(second, 300, 256); }),
                      "2.png: this view of the mask is 256 x 256"));
}

TEST_CASE("views: pictures and masks of MANTA that do not fit are named") {
  const Manta manta;
  const auto error = [&] {
    return input_error([&] {
      for (const Category& c : read_dataset(manta.root, {}, Layout::manta).categories) {
        verify_images(c.train);
        verify_images(c.test);
      }
    });
  };
  REQUIRE(error().empty());
  save_png(manta.maize / "train/good/0.png", Image(1024, 256, 3));
  CHECK(one_line_with(error(), "train/good/0.png: the picture is 1024 pixels wide"));
  save_png(manta.maize / "train/good/0.png", five_views());
  save_png(manta.maize / "ground_truth/mold/2.png", marked(1280, 255, {0}));
  CHECK(one_line_with(error(), "ground_truth/mold/2.png: the mask is 1280 x 255, its image 1280 x 256"));
  save_png(manta.maize / "ground_truth/mold/2.png", Image(1280, 256, 1));
  CHECK(one_line_with(error(), "ground_truth/mold/2.png: the mask is empty"));
  fs::remove(manta.maize / "ground_truth/mold/2.png");
  CHECK(one_line_with(error(), "test/mold/2.png: its mask"));
  fs::rename(manta.maize, manta.root / "maize");
  CHECK(one_line_with(input_error([&] { read_dataset(manta.root / "agriculture", {}, Layout::manta); }),
                      "agriculture: no category"));
}

TEST_CASE("views: the masks of an image of AutoVI are all images of its folder, and count together") {
  const TemporaryFolder folder;
  const fs::path root = folder / "set", pipe = root / "pipe";
  for (const char* name :
       {"train/good/0000.png", "test/good/0000.png", "test/dent/0000.png", "test/dent/0001.png"}) {
    fs::create_directories((pipe / name).parent_path());
    save_png(pipe / name, Image(4, 4, 3));
  }
  const fs::path masks = pipe / "ground_truth/dent";
  for (const char* name : {"0000", "0001"}) fs::create_directories(masks / name);
  save_png(masks / "0000/0000.png", marked(4, 4, {0}));
  save_png(masks / "0000/0001.png", marked(4, 4, {3}));
  save_png(masks / "0001/0000.png", marked(4, 4, {2}));
  for (const fs::path& from : {root, pipe}) {
    const Dataset dataset = read_dataset(from);
    CHECK(dataset.layout == "AutoVI");
    const std::vector<Sample>& test = dataset.categories.at(0).test;
    CHECK(views_in(test) == "dent/0000@+ dent/0001@+ good/0000@");
    const Image both = load_sample_mask_image(test[0], 4, 4);
    for (int64_t x = 0; x < 4; ++x) CHECK(*both.at(x, 1) == (x == 0 || x == 3 ? 255 : 0));
    CHECK_NOTHROW(verify_images(test));
  }
  save_png(masks / "2.png", marked(4, 4, {2}));
  for (const char* name : {"dent/0009", "dnet"}) fs::create_directories(pipe / "ground_truth" / name);
  const std::vector<std::string> notes = read_dataset(root).notes;
  REQUIRE(notes.size() == 3);
  CHECK(contains(notes[0], "ground_truth/dent: folders of no image, not used: 1: 0009"));
  CHECK(contains(notes[1], "ground_truth/dent: masks of no image, not used: 1: 2.png"));
  CHECK(contains(notes[2], "ground_truth: folders of no image, not used: 1: dnet"));
  save_png(masks / "0000/0001.png", marked(5, 4, {3}));
  CHECK(one_line_with(input_error([&] { verify_images(read_dataset(root).categories.at(0).test); }),
                      "dent/0000/0001.png: the mask is 5 x 4"));
  fs::remove(masks / "0001/0000.png");
  CHECK(one_line_with(input_error([&] { read_dataset(root); }), "test/dent/0001.png: there is no mask in"));
  fs::remove(masks / "0001");
  CHECK(
      one_line_with(input_error([&] { read_dataset(root); }), "test/dent/0001.png: the folder of its masks"));
}

TEST_CASE("views: objects are held out whole") {
  Category category;
  for (int i = 0; i < 20; ++i)
    category.train.push_back(
        {.defect = "good", .id = fmt::format("{:02}", i), .object = fmt::format("{}", i % 10)});
  CHECK(hold_out_every_fifth(category) == 4);
  for (const Sample& sample : category.test) CHECK((sample.object == "4" || sample.object == "9"));
}

}  // namespace dinomaly
