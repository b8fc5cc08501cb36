#include "dinomaly/data/mvtec.h"

#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// A small data set of empty files: read_mvtec() looks at names only.
struct MvtecTree {
  TemporaryFolder root;

  MvtecTree() {
    for (const char* category : {"bottle", "pill"}) {
      add(fs::path(category) / "train/good/001.png");
      add(fs::path(category) / "train/good/000.JPG");
      add(fs::path(category) / "test/good/000.jpeg");
      add(fs::path(category) / "test/scratch/001.png");
      add(fs::path(category) / "test/scratch/000.bmp");
      add(fs::path(category) / "test/broken/000.png");
      add(fs::path(category) / "ground_truth/scratch/000_mask.png");
      add(fs::path(category) / "ground_truth/scratch/001_mask.png");
      add(fs::path(category) / "ground_truth/broken/000_mask.png");
    }
  }
  void add(const fs::path& name) const { write_file(root.path() / name, ""); }
  void remove(const fs::path& name) const { fs::remove_all(root.path() / name); }
  std::string error(const std::vector<std::string>& categories = {}) const {
    return input_error([&] { read_mvtec(root.path(), categories); });
  }
};

}  // namespace

TEST_CASE("mvtec: samples in sorted order with their masks") {
  const MvtecTree tree;
  tree.add("license.txt");
  tree.add("notes/readme.md");
  tree.add("bottle/train/good/.hidden.png");
  tree.add("bottle/train/good/list.txt");
  fs::create_directories(tree.root / "bottle/train/good/folder.png");
  fs::create_directories(tree.root / "bottle/test/empty");

  const Dataset dataset = read_mvtec(tree.root.path());
  REQUIRE(dataset.categories.size() == 2);
  const Category& bottle = dataset.categories[0];
  CHECK(bottle.name == "bottle");
  CHECK(dataset.categories[1].name == "pill");
  REQUIRE(bottle.train.size() == 2);
  CHECK(bottle.train[0].id == "000");
  CHECK(bottle.train[0].image == tree.root / "bottle/train/good/000.JPG");
  CHECK(bottle.train[1].id == "001");
  CHECK_FALSE(bottle.train[1].anomalous);

  REQUIRE(bottle.test.size() == 4);
  const std::vector<std::string> defects{"broken", "good", "scratch", "scratch"},
      ids{"000", "000", "000", "001"};
  for (size_t i = 0; i < 4; ++i) {
    const Sample& sample = bottle.test[i];
    CHECK(sample.category == "bottle");
    CHECK(sample.defect == defects[i]);
    CHECK(sample.id == ids[i]);
    CHECK(sample.anomalous == (defects[i] != "good"));
    CHECK(sample.mask.has_value() == sample.anomalous);
  }
  CHECK(*bottle.test[3].mask == tree.root / "bottle/ground_truth/scratch/001_mask.png");
}

TEST_CASE("mvtec: masks of no image are noted") {
  const MvtecTree tree;
  tree.remove("bottle/test/scratch/001.png");
  tree.remove("pill/test/broken");
  const std::vector<std::string> notes = read_mvtec(tree.root.path()).notes;
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "bottle/ground_truth/scratch: masks of no image, not used: 1: 001_mask.png"));
  CHECK(contains(notes[1], "pill/ground_truth: folders of no image, not used: 1: broken"));
}

TEST_CASE("mvtec: the categories asked for, in that order") {
  const MvtecTree tree;
  const Dataset dataset = read_mvtec(tree.root.path(), {"pill", "bottle"});
  REQUIRE(dataset.categories.size() == 2);
  CHECK(dataset.categories[0].name == "pill");
  CHECK(dataset.categories[1].name == "bottle");
  CHECK(read_mvtec(tree.root.path(), {"pill"}).categories.size() == 1);
}

TEST_CASE("mvtec: what is missing is one clear line") {
  SUBCASE("the root") {
    CHECK(one_line_with(input_error([] { read_mvtec("/nowhere/mvtec"); }), "/nowhere/mvtec: no such folder"));
    const MvtecTree tree;
    CHECK(one_line_with(input_error([&] { read_mvtec(tree.root / "bottle/train/good/001.png"); }),
                        "not a folder"));
    const TemporaryFolder empty;
    CHECK(one_line_with(input_error([&] { read_mvtec(empty.path()); }), "no category"));
  }
  SUBCASE("a category") {
    const MvtecTree tree;
    CHECK(one_line_with(tree.error({"bottle", "screw"}), "screw: no such folder"));
    CHECK(one_line_with(tree.error({"bottle", "bottle"}), "named twice"));
    for (const char* name : {"", "..", "../bottle", "bottle/", ".hidden"}) {
      CHECK(one_line_with(tree.error({name}), "not a valid name for a category"));
    }
  }
  SUBCASE("training images") {
    const MvtecTree tree;
    tree.remove("bottle/train/good/000.JPG");
    tree.remove("bottle/train/good/001.png");
    CHECK(one_line_with(tree.error(), "bottle/train/good: no images"));
    tree.remove("bottle/train/good");
    CHECK(one_line_with(tree.error(), "bottle/train/good: no such folder"));
    CHECK(tree.error({"pill"}).empty());
  }
  SUBCASE("test images") {
    const MvtecTree tree;
    fs::remove_all(tree.root / "pill/test");
    fs::create_directories(tree.root / "pill/test/good");
    CHECK(one_line_with(tree.error(), "pill/test: no images"));
  }
  SUBCASE("masks") {
    const MvtecTree tree;
    tree.remove("pill/ground_truth/scratch/001_mask.png");
    CHECK(one_line_with(tree.error(), "pill/test/scratch/001.png: its mask"));
    tree.remove("pill/ground_truth/broken");
    CHECK(one_line_with(tree.error(), "pill/ground_truth/broken: no such folder"));
  }
  SUBCASE("an unambiguous name") {
    const MvtecTree tree;
    tree.add("bottle/train/good/001.jpg");
    CHECK(one_line_with(tree.error(), "share one name"));
  }
}

TEST_CASE("mvtec: a category without labelled test images can still be trained on") {
  const MvtecTree tree;
  tree.remove("pill/test");
  tree.remove("bottle/test");
  tree.add("bottle/test/000.png");  // no folder says what it shows
  const Dataset dataset = read_mvtec(tree.root.path());
  for (const Category& category : dataset.categories) {
    CHECK(category.test.empty());
    CHECK(category.train.size() == 2);
    CHECK(missing_for_evaluation(category) == "no labelled test images");
  }
}

TEST_CASE("mvtec: without any ground_truth folder there are labels but no masks") {
  const MvtecTree tree;
  tree.remove("pill/ground_truth");
  const Dataset dataset = read_mvtec(tree.root.path());
  CHECK(missing_for_evaluation(dataset.categories[0]).empty());
  CHECK(missing_for_evaluation(dataset.categories[1]) == "test images without masks");
  CHECK(dataset.categories[1].test.size() == 4);
}

}  // namespace dinomaly
