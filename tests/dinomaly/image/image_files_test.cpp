// Which files of a folder are images, and which are named or passed over.
#include "dinomaly/image/image_files.h"

#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/npy_map.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

std::string names(const std::vector<fs::path>& files, const fs::path& folder) {
  std::string text;
  for (const fs::path& file : files)
    text += (text.empty() ? "" : " ") + file.lexically_relative(folder).string();
  return text;
}

}  // namespace

TEST_CASE("image files: by their bytes or else their names; others are listed, not dropped") {
  const TemporaryFolder folder;
  const std::string image = encode_png(Image(2, 2, 3));
  for (const char* name : {"a.png", "no_extension", "b.txt", "c.jfif"}) write_file(folder / name, image);
  write_tiff(folder / "d.tif", {}, {"x"});
  write_tiff(folder / "e.dng", {}, {"x"});
  write_file(folder / "f.gif", "GIF89a");
  write_file(folder / "g.heic", "");
  write_file(folder / "h.png", "");
  write_file(folder / "list.csv", "path");
  write_file(folder / "notes", "text");
  for (const char* name :
       {".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "__MACOSX/z.png", ".git/y.png"})
    write_file(folder / name, "x");
  const FolderListing found = list_images(folder.path());
  CHECK(names(found.images, folder.path()) == "a.png b.txt c.jfif d.tif h.png no_extension");
  CHECK(names(found.foreign, folder.path()) == "e.dng f.gif g.heic");
  CHECK(names(found.others, folder.path()) == "list.csv notes");
  CHECK(count_and_names(found.others) == "2: list.csv, notes");
  CHECK(contains(count_and_names(std::vector<fs::path>(12, "x")), " and 2 more"));
  CHECK(not_images(2, found.others) == "2 files are not images and are left out: list.csv, notes");
  CHECK(not_images(1, {"a/notes"}) == "1 file is not an image and is left out: notes");
}

TEST_CASE("image files: links to folders are followed, and no folder twice") {
  const TemporaryFolder folder;
  const std::string image = encode_png(Image(2, 2, 3));
  const fs::path root = folder / "root";
  write_file(root / "sub/a.png", image);
  write_file(folder / "elsewhere/b.png", image);
  fs::create_directory_symlink(folder / "elsewhere", root / "linked");
  fs::create_directory_symlink(root, root / "sub/loop");
  fs::create_directory_symlink(folder / "elsewhere", root / "a_second_link");
  fs::create_directory_symlink(root / "sub", root / "0_another_name");
  fs::create_directory_symlink("gone", root / "dead");
  const FolderListing found = list_images(root);
  CHECK(found.images.size() == 2);
  CHECK(found.images.back() == root / "sub/a.png");
  CHECK(names(found.others, root) == "dead");
}

TEST_CASE("image files: the program's own results are passed over, wherever they lie") {
  const TemporaryFolder folder;
  save_png(folder / "a.png", Image(4, 3, 3));
  save_result_png(folder / "a_overlay.png", Image(4, 3, 3));
  CHECK(load_image_rgb(folder / "a_overlay.png") == Image(4, 3, 3));
  save_tiff_map(folder / "a.tiff", Tensor::ones({3, 4}));
  save_npy_map(folder / "a.npy", Tensor::ones({3, 4}));
  write_tiff(folder / "theirs.tiff", {.software = "ImageJ"}, {"x"});
  CHECK(is_own_result(folder / "a.tiff"));
  CHECK_FALSE(is_own_result(folder / "a.png"));
  const FolderListing found = list_images(folder.path());
  CHECK(names(found.images, folder.path()) == "a.png theirs.tiff");
  CHECK(found.others.empty());
  // A map has two axes: others of its type are not the program's, and so are not passed over without a word.
  write_file(folder / "cube.npy", npy_of("'<f4'", "(1, 1, 2)", std::string(8, '\0')));
  CHECK(names(list_images(folder.path()).others, folder.path()) == "cube.npy");
}

TEST_CASE("image files: in a folder marked for results only images are looked for") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "out/deep");
  CHECK(is_unused_folder(folder / "out/deep"));
  CHECK(is_unused_folder(folder / "missing"));
  mark_result_folder(folder / "out");
  write_file(folder / "out/model.safetensors", "x");
  write_file(folder / "out/deep/metrics.json", "{}");
  save_png(folder / "out/mine.png", Image(2, 2, 3));
  CHECK(names(list_images(folder.path()).images, folder.path()) == "out/mine.png");
  CHECK(list_images(folder.path()).others.empty());
  // One that holds something already is the user's.
  write_file(folder / "own/list.csv", "path");
  CHECK_FALSE(is_unused_folder(folder / "own"));
  CHECK(names(list_images(folder.path()).others, folder.path()) == "own/list.csv");
}

}  // namespace dinomaly
