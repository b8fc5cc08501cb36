#include <doctest/doctest.h>
#include <sys/stat.h>

#include "dinomaly/base/files.h"
#include "dinomaly/data/image_folder.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/data/layout_tree.h"
#include "tests/dinomaly/image/npy_writer.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

void visa_raw(const Tree& tree) {
  tree.add({"candle/Data/Images/Normal/0000.JPG", "candle/Data/Images/Normal/0001.JPG",
            "candle/Data/Images/Anomaly/000.JPG", "candle/Data/Masks/Anomaly/000.png",
            "pcb1/Data/Images/Normal/0000.JPG"});
  write_file(tree.root / "split_csv/1cls.csv",
             "object,split,label,image,mask\r\n"
             "candle,train,normal,candle/Data/Images/Normal/0001.JPG,\r\n"
             "candle,test,normal,candle/Data/Images/Normal/0000.JPG,\r\n"
             "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\r\n"
             "pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,\r\n");
}

}  // namespace

TEST_CASE("layout: a folder that may not be looked at is not called missing") {
  Tree tree;
  tree.add({"shut/nut/train/good/0.png"});
  fs::permissions(tree.root / "shut", fs::perms::none);
  std::string all, one;
  {
    const Unprivileged user;
    all = input_error([&] { read_dataset(tree.root / "shut/nut"); });
    one = input_error([&] { read_mvtec(tree.root / "shut", {"nut"}); });
  }
  fs::permissions(tree.root / "shut", fs::perms::owner_all);
  CHECK_MESSAGE(one_line_with(all, "shut/nut: cannot read: Permission denied"), all);
  CHECK_MESSAGE(one_line_with(one, "Permission denied"), one);
}

TEST_CASE("layout: MVTec AD, all categories or one folder of it") {
  Tree tree;
  tree.add({"nut/train/good/0.png", "nut/test/good/0.png", "nut/test/rust/0.png",
            "nut/ground_truth/rust/0_mask.png"});
  const Dataset all = read_dataset(tree.root), one = read_dataset(tree.root / "nut");
  CHECK(all.layout == "MVTec AD (or MPDD)");
  for (const Dataset& dataset : {all, one}) {
    REQUIRE(dataset.categories.size() == 1);
    CHECK(dataset.categories[0].name == "nut");
    CHECK(summary(dataset.categories[0].train) == "good/0");
    CHECK(summary(dataset.categories[0].test) == "good/0 rust/0+");
  }
  CHECK(one_line_with(input_error([&] { read_dataset(tree.root / "nut", {"bolt"}); }), "bolt"));
}

TEST_CASE("layout: VisA as published") {
  const Tree tree;
  visa_raw(tree);
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.layout == "VisA as published");
  REQUIRE(dataset.categories.size() == 2);
  CHECK(dataset.categories[0].name == "candle");
  CHECK(summary(dataset.categories[0].train) == "good/0001");
  CHECK(summary(dataset.categories[0].test) == "bad/000+ good/0000");
  CHECK(dataset.categories[0].test[0].mask == tree.root / "candle/Data/Masks/Anomaly/000.png");
  CHECK(read_dataset(tree.root, {"pcb1"}).categories[0].test.empty());
  CHECK(one_line_with(tree.error({"pcb9"}), "pcb9"));

  fs::remove(tree.root / "candle/Data/Masks/Anomaly/000.png");
  CHECK(one_line_with(tree.error(), "1cls.csv: row 4: mask"));
  fs::remove(tree.root / "split_csv/1cls.csv");
  CHECK(one_line_with(tree.error(), "split_csv/1cls.csv is missing"));
}

TEST_CASE("layout: VisA rearranged, with its folder 1cls or from inside") {
  Tree tree;
  tree.add({"1cls/candle/train/good/0001.JPG", "1cls/candle/test/good/0000.JPG",
            "1cls/candle/test/bad/000.JPG", "1cls/candle/ground_truth/bad/000.png"});
  for (const fs::path& root : {tree.root, tree.root / "1cls", tree.root / "1cls/candle"}) {
    const Dataset dataset = read_dataset(root);
    CHECK(dataset.layout == "VisA rearranged");
    CHECK(summary(dataset.categories.at(0).test) == "bad/000+ good/0000");
  }
}

TEST_CASE("layout: BTAD says ok, and names masks as the images") {
  Tree tree;
  tree.add({"01/train/ok/0.bmp", "01/test/ok/1.bmp", "01/test/ko/2.bmp", "01/ground_truth/ko/2.png"});
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.layout == "BTAD");
  CHECK(summary(dataset.categories.at(0).train) == "good/0");
  CHECK(summary(dataset.categories[0].test) == "good/1 ko/2+");
}

TEST_CASE("layout: the mask of a good image may mark nothing") {
  Tree tree;
  Image mask(2, 2, 1);
  const auto check = [&](const fs::path& file, const fs::path& data, const std::string& begin) {
    CAPTURE(file.string());
    fs::create_directories(file.parent_path());
    mask.pixels[3] = 0;
    save_png(file, mask);
    CHECK(input_error([&] { read_dataset(data); }).empty());
    mask.pixels[3] = 1;
    save_png(file, mask);
    const std::string error = input_error([&] { read_dataset(data); });
    CHECK_MESSAGE(one_line_with(error, begin + file.string() + ": it marks a defect, but its image "), error);
    fs::remove(file);
  };
  tree.add({"csv/0.png", "csv/1.png"});
  const fs::path list = tree.root / "csv/list.csv";
  write_file(list, "path,label,mask,split\n1.png,bad,,test\n0.png,good,m.png,test\n");
  check(tree.root / "csv/m.png", list, list.string() + ": row 3: ");
  write_file(list, "path,mask\n0.png,m.npy\n");
  write_file(tree.root / "csv/m.npy", npy_of("'|b1'", "(1, 1)", std::string("\0", 1)));
  CHECK(input_error([&] { read_dataset(list); }).empty());
  write_file(tree.root / "csv/m.npy", npy_of("'|b1'", "(1, 1)", "\x01"));
  CHECK(one_line_with(input_error([&] { read_dataset(list); }), "row 2: "));

  tree.add({"mvtec/nut/train/good/0.png", "mvtec/nut/test/good/0.png"});
  check(tree.root / "mvtec/nut/ground_truth/good/0_mask.png", tree.root / "mvtec", "");
  tree.add({"plain/good/0.png", "plain/rust/1.png"});
  check(tree.root / "plain/masks/good/0.png", tree.root / "plain", "");
  tree.add({"3d/nut/train/good/rgb/0.png", "3d/nut/train/good/z/0.tiff", "3d/nut/test/good/rgb/0.png",
            "3d/nut/test/good/z/0.tiff"});
  check(tree.root / "3d/nut/test/good/gt/0.png", tree.root / "3d", "");

  Tree visa;
  visa_raw(visa);
  write_file(visa.root / "split_csv/1cls.csv",
             "object,split,label,image,mask\n"
             "candle,train,normal,candle/Data/Images/Normal/0001.JPG,\n"
             "candle,test,normal,candle/Data/Images/Normal/0000.JPG,m.png\n");
  check(visa.root / "m.png", visa.root, (visa.root / "split_csv/1cls.csv").string() + ": row 3: ");
}

TEST_CASE("layout: masks that are arrays are found by name") {
  Tree tree;
  tree.add({"nut/train/good/0.png", "nut/test/good/0.png", "nut/test/rust/1.png"});
  std::filesystem::create_directories(tree.root / "nut/ground_truth/rust");
  write_file(tree.root / "nut/ground_truth/rust/1_mask.npy", npy_of("'|b1'", "(1, 1)", "\x01"));
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.notes.empty());
  CHECK(summary(dataset.categories.at(0).test) == "good/0 rust/1+");
}

TEST_CASE("layout: folders of test images alone can be judged") {
  Tree tree;
  tree.add({"nut/test/good/0.png", "nut/test/rust/1.png", "nut/ground_truth/rust/1_mask.png"});
  const auto check = [](const Dataset& dataset) {
    CHECK(dataset.layout == "MVTec AD (or MPDD)");
    REQUIRE(dataset.categories.size() == 1);
    CHECK(dataset.categories[0].train.empty());
    CHECK(summary(dataset.categories[0].test) == "good/0 rust/1+");
  };
  check(read_dataset(tree.root));
  check(read_dataset(tree.root / "nut"));
}

TEST_CASE("layout: plain folders") {
  Tree tree;
  SUBCASE("good images alone") {
    tree.add({"1.png", "0.JPEG", "notes.txt"});
    const Dataset dataset = read_dataset(tree.root);
    CHECK(dataset.layout == "a plain folder");
    CHECK(dataset.categories.at(0).name == "set");
    CHECK(summary(dataset.categories[0].train) == "good/0 good/1");
    CHECK(dataset.categories[0].test.empty());
    CHECK(read_dataset(tree.root / ".").categories[0].name == "set");
  }
  SUBCASE("good, defects and masks") {
    tree.add({"good/0.png", "good/1.png", "good/2.png", "good/3.png", "good/4.png", "rust/a.png",
              "ground_truth/rust/a_mask.png"});
    const Dataset dataset = read_dataset(tree.root);
    CHECK(summary(dataset.categories.at(0).test) == "good/4 rust/a+");
    CHECK(dataset.notes.size() == 1);
    CHECK(missing_for_evaluation(dataset.categories[0]).empty());
    tree.add({"rust/b.png"});
    CHECK(one_line_with(tree.error(), "rust/b.png: its mask"));
  }
  SUBCASE("depth beside the images") {
    tree.add({"0.png", "0_depth.tiff", "1.png", "1_depth.png", "rust/a.png", "rust/a_depth.tif"});
    const Category category = read_dataset(tree.root).categories.at(0);
    CHECK(summary(category.train) == "good/0 good/1");
    CHECK(summary(category.test) == "rust/a");
    CHECK(category.train.at(1).depth == tree.root / "1_depth.png");
    CHECK(category.test.at(0).depth == tree.root / "rust/a_depth.tif");
    tree.add({"2.png"});
    CHECK(one_line_with(tree.error(), "2.png: its depth is missing"));
  }
  SUBCASE("a name like that of a depth, of no image") {
    tree.add({"0.png", "1_depth.png"});
    const Category category = read_dataset(tree.root).categories.at(0);
    CHECK(summary(category.train) == "good/0 good/1_depth");
    CHECK_FALSE(category.train.at(1).depth);
  }
  SUBCASE("nothing") {
    CHECK(one_line_with(tree.error(), "no such folder"));
    fs::create_directories(tree.root);
    CHECK(one_line_with(tree.error(), "no images"));
    tree.add({"list.txt"});
    CHECK(one_line_with(input_error([&] { read_dataset(tree.root / "list.txt"); }), "list.txt"));
  }
}

TEST_CASE("layout: masks are no images of a plain folder") {
  Tree tree;
  tree.add({"0.png", "0_mask.png", "1.png", "face_mask.png", "rust/a.png", "rust/a_mask.png"});
  const Dataset dataset = read_dataset(tree.root);
  CHECK(summary(dataset.categories.at(0).train) == "good/0 good/1 good/face_mask");
  CHECK(summary(dataset.categories[0].test) == "rust/a");
  REQUIRE(dataset.notes.size() == 2);
  CHECK(one_line_with(dataset.notes[0], "set: masks are no images and not used: 1: 0_mask.png"));
  CHECK(one_line_with(dataset.notes[1], "rust: masks are no images and not used: 1: a_mask.png"));
  tree.add({"nut/train/good/0.png", "nut/test/rust/0.png", "nut/ground_truth/rust/0.png"});
  const std::string masks =
      input_error([&] { read_dataset(tree.root / "nut/ground_truth/rust", {}, Layout::folder); });
  CHECK_MESSAGE(one_line_with(masks, "no images"), masks);
}

TEST_CASE("layout: a folder's name or place says that its parts are defective") {
  const Tree tree;
  const auto says = [&](const std::string& folder) {
    std::filesystem::create_directories(tree.root / folder);
    return names_defects(tree.root / folder);
  };
  for (const char* name : {"ng", "NG_2024", "bad-parts", "Scratches", "not_good", "no good", "cracked",
                           "01.defects", "anomaly", "broken", "rejects", "parts/broken"})
    CHECK_MESSAGE(says(name), name);
  for (const char* name :
       {"parts", "good", "OK 2", "no_defects", "defect-free", "without scratches", "engine", "badge",
        "broken/good", "disk/scratch/parts", "disk/defects/line1/parts"})
    CHECK_FALSE_MESSAGE(says(name), name);
  tree.add({"bottle/train/good/0.png", "bottle/test/bent/0.png", "bottle/test/bent/rgb/0.png",
            "test/new/0.png", "real/OK/S1/0.png", "real/NG/S1/0.png"});
  for (const char* name : {"bottle/test/bent", "bottle/test/bent/rgb", "real/NG/S1"})
    CHECK_MESSAGE(says(name), name);
  for (const char* name : {"bottle/train/good", "bottle/test/good", "bottle/test/good/rgb", "test/new",
                           "real/OK/S1", "bottle/train"})
    CHECK_FALSE_MESSAGE(says(name), name);
}

TEST_CASE("layout: case is ignored in the names of folders and lists") {
  Tree tree;
  tree.add({"nut/Train/Good/0.png", "nut/TEST/Good/1.png", "nut/TEST/Rust/2.PNG",
            "nut/Ground_Truth/rust/2_mask.png"});
  for (const fs::path& root : {tree.root, tree.root / "nut"}) {
    const Dataset dataset = read_dataset(root);
    CHECK(dataset.layout == "MVTec AD (or MPDD)");
    CHECK(summary(dataset.categories.at(0).train) == "good/0");
    CHECK(summary(dataset.categories[0].test) == "Rust/2+ good/1");
  }
  const Tree plain, list;
  plain.add({"OK/0.png", "Rust/a.png", "OK/1.png", "Masks/rust/a.png"});
  CHECK(summary(read_dataset(plain.root).categories.at(0).test) == "Rust/a+");
  list.add({"0.png"});
  write_file(list.root / "LIST.CSV", "path\n0.png\n");
  CHECK(read_dataset(list.root / "LIST.CSV").layout == "a CSV list");
}

TEST_CASE("layout: a link to an image is one, a dangling link is reported") {
  const Tree tree;
  tree.add({"0.png", "folder.png/1.png"});
  fs::create_symlink(tree.root / "0.png", tree.root / "2.png");
  CHECK(summary(read_dataset(tree.root).categories.at(0).train) == "good/0 good/2");
  fs::create_symlink("gone.png", tree.root / "3.png");
  CHECK(one_line_with(tree.error(), "3.png: a link to a file that does not exist"));
}

TEST_CASE("layout: asked for by name") {
  CHECK(parse_layout("visa-raw") == Layout::visa_raw);
  CHECK(parse_layout("auto") == Layout::automatic);
  CHECK(one_line_with(input_error([] { parse_layout("coco"); }), "coco"));
  Tree tree;
  tree.add({"nut/train/good/0.png"});
  CHECK(one_line_with(input_error([&] { read_dataset(tree.root, {}, Layout::btad); }), "train/ok"));
}

}  // namespace dinomaly
