// Data sets with two sensors, each on a small drawn one.
#include "dinomaly/data/pairs.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/drawn_scene.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/png.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

struct PairTree {
  TemporaryFolder folder;
  fs::path root = folder / "set";

  void add(const std::vector<std::string>& names) const {
    for (const std::string& name : names) write_file(root / name, "");
  }
  std::string error() const {
    return input_error([&] { read_dataset(root); });
  }
};

// "good/0@OBJECT|PARTNER+ ...", + for a mask, i for infrared.
std::string pairs_in(const std::vector<Sample>& samples) {
  std::string text;
  for (const Sample& sample : samples) {
    text += (text.empty() ? "" : " ") + sample.defect + "/" + sample.id + "@" + sample.object +
            (sample.depth ? "|" + sample.depth->filename().string() : "") + (sample.mask ? "+" : "") +
            (sample.infrared ? "i" : "");
    CHECK(sample.anomalous == (sample.defect != "good"));
    CHECK(sample.anomalous == sample.mask.has_value());
  }
  return text;
}

bool has_note(const Dataset& dataset, const std::string& text) {
  return std::any_of(dataset.notes.begin(), dataset.notes.end(),
                     [&](const std::string& note) { return contains(note, text); });
}

}  // namespace

TEST_CASE("pairs: MVTec 3D-AD, as published and with prepared depth") {
  const PairTree tree;
  tree.add({"bagel/train/good/rgb/000.png", "bagel/train/good/xyz/000.tiff",
            "bagel/validation/good/rgb/000.png", "bagel/test/good/rgb/000.png",
            "bagel/test/good/xyz/000.tiff", "bagel/test/hole/rgb/001.png", "bagel/test/hole/xyz/001.tiff",
            "bagel/test/hole/gt/001.png"});
  fs::create_directories(tree.root / "bagel/test/good/gt");
  save_png(tree.root / "bagel/test/good/gt/000.png", Image(2, 2, 1));
  for (const fs::path& root : {tree.root, tree.root / "bagel"}) {
    const Dataset dataset = read_dataset(root);
    CHECK(dataset.layout == "MVTec 3D-AD");
    REQUIRE(dataset.categories.size() == 1);
    CHECK(dataset.categories[0].name == "bagel");
    CHECK(pairs_in(dataset.categories[0].train) == "good/000@|000.tiff");
    CHECK(pairs_in(dataset.categories[0].test) == "good/000@|000.tiff hole/001@|001.tiff+");
    CHECK(dataset.categories[0].train[0].depth->parent_path().filename() == "xyz");
    REQUIRE(dataset.notes.size() == 1);
    CHECK(contains(dataset.notes[0], "validation: not used"));
  }
  tree.add({"bagel/train/good/z/000.tiff"});
  CHECK(read_dataset(tree.root).categories[0].train[0].depth->parent_path().filename() == "z");
  tree.add({"bagel/train/good/xyz/001.tiff", "bagel/train/good/z/001.tiff", "bagel/test/hole/gt/002.png"});
  CHECK(has_note(read_dataset(tree.root), "good/z: depth files of no image, not used: 1: 001.tiff"));
  CHECK(has_note(read_dataset(tree.root), "hole/gt: masks of no image, not used: 1: 002.png"));
  fs::remove(tree.root / "bagel/test/hole/gt/001.png");
  CHECK(one_line_with(tree.error(), "test/hole/rgb/001.png: its mask"));
  tree.add({"bagel/test/hole/gt/001.png"});
  fs::remove(tree.root / "bagel/test/hole/xyz/001.tiff");
  CHECK(one_line_with(tree.error(), "test/hole/rgb/001.png: its partner"));
  CHECK(one_line_with(input_error([&] { read_dataset(tree.root, {"bagle"}); }), "bagle"));
}

TEST_CASE("pairs: a depth map among point clouds is counted and named") {
  const PairTree tree;
  for (const char* id : {"0", "1", "2"}) {
    tree.add({fmt::format("bagel/train/good/rgb/{}.png", id)});
    DrawnScene(8, 8).write_cloud(tree.root / fmt::format("bagel/train/good/xyz/{}.tiff", id));
  }
  REQUIRE(read_dataset(tree.root).notes.size() == 1);
  CHECK(contains(read_dataset(tree.root).notes[0], "point clouds are prepared"));
  const fs::path second = tree.root / "bagel/train/good/xyz/1.tiff";
  write_tiff(second, {.width = 1, .bits = 32, .format = SAMPLEFORMAT_IEEEFP},
             {std::string("\0\0\x80\x3f", 4)});
  REQUIRE(read_dataset(tree.root).notes.size() == 2);
  CHECK(one_line_with(read_dataset(tree.root).notes[1],
                      "1 of 3 depth files is a depth map, unlike the others"));
  CHECK(contains(read_dataset(tree.root).notes[1], "xyz/1.tiff"));
}

TEST_CASE("pairs: Eyecandies; the mask says whether an object is good") {
  const PairTree tree;
  const auto candy = [&](const std::string& part, const std::string& id) {
    for (const char* kind : {"_image_0", "_image_4", "_depth", "_normals"})
      tree.add({"Lollipop/" + part + "/data/" + id + kind + ".png"});
    tree.add({"Lollipop/" + part + "/data/" + id + "_metadata.yaml"});
    save_png(tree.root / "Lollipop" / part / "data" / (id + "_image_4.png"), Image(4, 4, 3));
  };
  candy("train", "000"), candy("train", "001"), candy("test_public", "00"), candy("test_public", "01");
  candy("test_private", "00");
  Image mask(4, 4, 1);
  save_png(tree.root / "Lollipop/test_public/data/00_mask.png", mask);
  *mask.at(3, 3) = 255;
  save_png(tree.root / "Lollipop/test_public/data/01_mask.png", mask);
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.layout == "Eyecandies");
  CHECK(pairs_in(dataset.categories.at(0).train) == "good/000@|000_depth.png good/001@|001_depth.png");
  CHECK(pairs_in(dataset.categories[0].test) == "bad/01@|01_depth.png+ good/00@|00_depth.png");
  CHECK(dataset.categories[0].train[0].image.filename() == "000_image_4.png");
  const fs::path data = tree.root / "Lollipop/test_public/data";
  std::string black;  // which is the second colour of its palette
  for (int row = 0; row < 4; ++row) black += std::string("\0\1\1\1\1", 5);
  write_file(data / "00_mask.png", png(4, 4, 8, 3, black, std::string("\xFF\xFF\xFF\0\0\0", 6)));
  CHECK(pairs_in(read_dataset(tree.root).categories[0].test) ==
        "bad/01@|01_depth.png+ good/00@|00_depth.png");
  fs::remove(data / "01_mask.png");
  write_file(data / "01_mask.npy", npy_of("'|b1'", "(4, 4)", std::string(15, 0) + '\1'));
  CHECK(pairs_in(read_dataset(tree.root).categories[0].test) ==
        "bad/01@|01_depth.png+ good/00@|00_depth.png");
  fs::remove(tree.root / "Lollipop/test_public/data/00_mask.png");
  CHECK(one_line_with(tree.error(), "00_image_4.png: its partner"));
  fs::remove(tree.root / "Lollipop/train/data/001_depth.png");
  CHECK(one_line_with(tree.error(), "001_image_4.png: its partner"));
  fs::remove(tree.root / "Lollipop/train/data/001_image_4.png");
  tree.add({"Lollipop/train/data/001_depth.png", "Lollipop/test_public/data/00_mask.npy"});
  write_file(data / "00_mask.npy", npy_of("'|b1'", "(4, 4)", std::string(16, 0)));
  CHECK(has_note(read_dataset(tree.root), "train/data: depth files of no image, not used: 1: 001_depth.png"));
}

TEST_CASE("pairs: the object and sensor of an image that stands in no data set") {
  const auto member = [](const char* path) {
    const PairMember found = pair_member(path);
    return found.object.string() + (found.infrared ? " infrared" : "");
  };
  CHECK(member("/set/cube/Infrared/test/hole/10.png") == "/set/cube/RGB/test/hole/10 infrared");
  CHECK(member("/set/cube/RGB/test/hole/10.jpg") == "/set/cube/RGB/test/hole/10");
  CHECK(member("Infrared/cube/Infrared/1.png") == "Infrared/cube/RGB/1 infrared");
  CHECK(member("Infrared/RGB/1.png") == "Infrared/RGB/1");
  CHECK(member("a/7_infrared.tiff") == "a/7 infrared");
  CHECK(member("a/7.png") == "a/7");
  CHECK(member("Infrared/1.png") == "RGB/1 infrared");
  CHECK(member("_infrared.png") == "_infrared");
  CHECK(member("set/infrared/7.png") == "set/RGB/7 infrared");
  CHECK(member("set/rgb/7.png") == "set/RGB/7");
  CHECK(member("a/7_Infrared.PNG") == "a/7 infrared");
  CHECK(member("a/../a//7.png") == "a/7");
  CHECK(member("./a/b/../7_infrared.png") == "a/7 infrared");
}

TEST_CASE("pairs: MulSen-AD; each sensor has its own label") {
  const PairTree tree;
  for (const char* sensor : {"RGB", "Infrared"}) {
    const std::string folder = std::string("cube/") + sensor;
    tree.add({folder + "/train/0.png", folder + "/test/good/5.png", folder + "/test/hole/2.png",
              folder + "/test/hole/10.png"});
  }
  // In the order of the numbers: 2 is seen in RGB alone, 10 by both.
  tree.add({"cube/RGB/GT/hole/2.png", "cube/RGB/GT/hole/10.png", "cube/Infrared/GT/hole/10.png"});
  const fs::path labels = tree.root / "cube/RGB/GT/hole/data.csv";
  write_file(labels, "object,RGB,Infrared,Pointcloud\n2,1,0,1\n10,1,1,0\n");
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.layout == "MulSen-AD (RGB and infrared)");
  const Category& category = dataset.categories.at(0);
  CHECK(pairs_in(category.train) == "good/0@good/0 good/0_infrared@good/0i");
  const std::string expected =
      "good/5@good/5 good/5_infrared@good/5i good/hole_2_infrared@hole/2i hole/10@hole/10+ "
      "hole/10_infrared@hole/10+i hole/2@hole/2+";
  CHECK(pairs_in(category.test) == expected);
  for (const Sample& sample : category.test) CHECK(sample.grouping == Grouping::rgb_and_infrared);
  write_file(labels, "object,RGB,Infrared,Pointcloud\n2,1,0,1\n");
  CHECK(one_line_with(tree.error(), "data.csv: 1 line for 2 objects"));
  write_file(labels, "object,RGB,Infrared,Pointcloud\n2,1,yes,1\n10,1,1,0\n");
  CHECK(one_line_with(tree.error(), "data.csv: row 2: the label of a sensor"));
  write_file(labels, "object,RGB,Infrared,Pointcloud\n2,1,1,1\n10,1,1,0\n");
  CHECK(one_line_with(tree.error(), "Infrared/test/hole/2.png: its mask"));
  write_file(labels, "object,RGB,Infrared,Pointcloud\n10,1,1,0\n2,1,0,1\n");  // rows name their objects
  CHECK(pairs_in(read_dataset(tree.root).categories.at(0).test) == expected);
  write_file(labels, "object,RGB,Infrared,Pointcloud\n0,1,0,1\n1,1,1,0\n");  // or stand in their order
  CHECK(pairs_in(read_dataset(tree.root).categories.at(0).test) == expected);
  tree.add({"cube/Infrared/GT/hole/3.png"});
  CHECK(has_note(read_dataset(tree.root), "Infrared/GT/hole: masks of no image, not used: 1: 3.png"));
  fs::remove(tree.root / "cube/Infrared/GT/hole/3.png");
  tree.add({"cube/Infrared/test/scratch/1.png"});
  CHECK(one_line_with(tree.error(), "RGB/test/scratch: no such folder"));
  fs::remove_all(tree.root / "cube/Infrared/test/scratch");
  fs::remove(labels);  // then the masks say it
  CHECK(pairs_in(read_dataset(tree.root).categories.at(0).test) == expected);
  fs::remove(tree.root / "cube/Infrared/test/hole/10.png");
  CHECK(one_line_with(tree.error(), "RGB/test/hole/10.png: its partner"));
}

}  // namespace dinomaly
