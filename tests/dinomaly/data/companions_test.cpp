// What belongs to an image that stands in no data set.
#include "dinomaly/data/companions.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

struct LooseFiles {
  TemporaryFolder folder;

  void add(const std::vector<std::string>& names) const {
    for (const std::string& name : names) write_file(folder / name, name);
  }
  std::string depth(const std::string& image) const {
    const auto found = depth_of(folder / image);
    return found ? found->lexically_relative(folder.path()).string() : "";
  }
  // "depth of a.png", "" for an image by itself.
  std::string companion(const std::string& file) const {
    const auto found = companion_by_name(folder / file);
    if (!found) return "";
    constexpr std::array kinds{"depth", "mask", "rendering"};
    return fmt::format("{} of {}{}", kinds.at(static_cast<size_t>(found->kind)),
                       found->has_image ? "" : "missing ",
                       found->image.lexically_relative(folder.path()).string());
  }
  bool has(const std::string& name) const { return fs::exists(folder / name); }
};

}  // namespace

TEST_CASE("companions: where the depth of an image is looked for, and what is said where it is missing") {
  const LooseFiles files;
  const auto missing = [&](const std::string& image) { return missing_depth(files.folder / image); };
  CHECK(files.depth("a.jpg").empty());
  CHECK(one_line_with(missing("a.jpg"),
                      "a.jpg: its depth is missing: there is no a_depth.tiff, .tif or .png beside it"));
  CHECK(picture_with_depth(files.folder / "a.jpg").fault.empty());  // there is no image either
  files.add({"a_depth.npy", "a.jpg"});
  CHECK(contains(picture_with_depth(files.folder / "a.jpg").fault, "its depth is missing"));
  CHECK(files.depth("a.jpg").empty());
  CHECK(one_line_with(missing("a.jpg"), "beside it (a_depth.npy is not read as depth)"));
  files.add({"a_depth.PNG"});
  CHECK(files.depth("a.jpg") == "a_depth.PNG");
  files.add({"a_depth.tif"});
  CHECK(files.depth("a.jpg") == "a_depth.tif");
  files.add({"a_depth.tiff"});
  CHECK(files.depth("a.jpg") == "a_depth.tiff");
  files.add({"03_depth.png"});
  CHECK(files.depth("03_image_4.png") == "03_depth.png");
  CHECK(one_line_with(missing("rgb/7.png"),
                      "no 7.tiff, .tif or .png in z or xyz beside rgb, nor 7_depth.tiff"));
  for (const char* next : {"rgb/7_depth.png", "XYZ/7.tiff", "z/7.tiff"}) {
    files.add({next});
    CHECK(files.depth("rgb/7.png") == next);
  }
}

TEST_CASE("companions: what a file is by its name, and of which image") {
  const LooseFiles files;
  files.add({"a.jpg", "00_image_4.png", "rgb/7.png", "plain/8.png", "b_depth_depth.tiff"});
  CHECK(files.companion("a.jpg").empty());
  CHECK(files.companion("a_depth.npy") == "depth of a.jpg");
  CHECK(files.companion("c_depth.png") == "depth of missing c");
  CHECK(files.companion("b_depth.png").empty());  // has a depth itself
  CHECK(files.companion("_depth.png").empty());
  CHECK(files.companion("a_mask.png").empty());
  CHECK(files.companion("00_depth.png") == "depth of 00_image_4.png");
  CHECK(files.companion("00_bumps_mask.png") == "mask of 00_image_4.png");
  CHECK(files.companion("00_image_3.png") == "rendering of 00_image_4.png");
  CHECK(files.companion("00_image_4.png").empty());
  CHECK(files.companion("01_image_3.png").empty());
  CHECK(files.companion("xyz/7.tiff") == "depth of rgb/7.png");
  CHECK(files.companion("z/7.tiff") == "depth of rgb/7.png");
  CHECK(files.companion("gt/7.png") == "mask of rgb/7.png");
  CHECK(files.companion("gt/9.png") == "mask of missing rgb/9");
  CHECK(files.companion("plain/xyz/8.tiff").empty());  // beside no folder rgb
}

TEST_CASE("companions: they move with their image, under one new name, all or none") {
  const LooseFiles files;
  const auto move = [&](const std::string& image, const std::string& to) {
    move_with_companions(files.folder / image, files.folder / to);
  };
  files.add({"a.jpg", "a_depth.tiff", "b.png", "00_image_4.png", "00_depth.png", "00_mask.png",
             "set/rgb/7.png", "set/xyz/7.tiff", "set/gt/7.png", "set/xyz/8.tiff", "done/a_depth.tiff"});
  move("a.jpg", "done/a.jpg");  // the name of its depth is taken
  CHECK((files.has("done/a-2.jpg") && files.has("done/a-2_depth.tiff") && !files.has("a_depth.tiff")));
  CHECK(read_file(files.folder / "done/a_depth.tiff", 100) == "done/a_depth.tiff");
  move("00_image_4.png", "done/00_image_4.png");
  CHECK(
      (files.has("done/00_depth.png") && files.has("done/00_mask.png") && files.has("done/00_image_4.png")));
  files.add({"00_image_4.png", "00_depth.png"});
  move("00_image_4.png", "done/00_image_4.png");
  CHECK((files.has("done/00-2_depth.png") && files.has("done/00-2_image_4.png")));
  move("b.png", "done/sub/b.png");
  CHECK(files.has("done/sub/b.png"));
  move("set/rgb/7.png",
       "done/7.png");  // out of a folder rgb, without whose name its depth would not be found
  CHECK((files.has("done/rgb/7.png") && files.has("done/xyz/7.tiff") && files.has("done/gt/7.png")));
  CHECK(files.has("set/xyz/8.tiff"));
  files.add({"set/rgb/8.png", "done/other/xyz"});  // a file where the folder must be
  CHECK(one_line_with(input_error([&] { move("set/rgb/8.png", "done/other/rgb/8.png"); }), "done/other/xyz"));
  files.add({"set/z/8.tiff"});  // it would be the last but one
  CHECK_FALSE(input_error([&] { move("set/rgb/8.png", "done/other/rgb/8.png"); }).empty());
  CHECK((files.has("set/rgb/8.png") && files.has("set/xyz/8.tiff") && files.has("set/z/8.tiff")));
  files.add({"done/third/rgb"});  // now the image's folder, when its depth has moved already
  CHECK(one_line_with(input_error([&] { move("set/rgb/8.png", "done/third/rgb/8.png"); }), "done/third/rgb"));
  CHECK((files.has("set/rgb/8.png") && files.has("set/xyz/8.tiff") && files.has("set/z/8.tiff")));
}

}  // namespace dinomaly
