#include "dinomaly/base/files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

int64_t count_entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

}  // namespace

TEST_CASE("files: what is written is read, over an older file and into new folders") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a/b/data.bin";
  const std::string bytes("\0\xFF line\n", 8);
  write_file(path, "older and longer than the new bytes");
  write_file(path, bytes);
  CHECK(read_file(path, 8) == bytes);
  CHECK(count_entries(path.parent_path()) == 1);  // no temporary is left
  write_file(folder / "empty", "");
  CHECK(read_file(folder / "empty", 0).empty());
}

TEST_CASE("files: bad paths are one clear line") {
  const TemporaryFolder folder;
  write_file(folder / "data", "12345");
  CHECK(one_line_with(input_error([&] { read_file(folder / "none", 10); }), "none: no such file"));
  CHECK(one_line_with(input_error([&] { read_file(folder.path(), 10); }), "not a regular file"));
  CHECK(one_line_with(input_error([&] { read_file(folder / "data", 4); }), "data: 5 bytes"));
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(one_line_with(input_error([&] { read_file(folder / "pipe", 10); }), "not a regular file"));
}

TEST_CASE("files: a write that fails leaves nothing behind") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "taken/inside");
  write_file(folder / "file", "x");
  CHECK(one_line_with(input_error([&] { write_file(folder / "taken", "bytes"); }), "taken"));
  CHECK(one_line_with(input_error([&] { write_file(folder / "file/below", "bytes"); }), "below"));
  CHECK(count_entries(folder.path()) == 2);
  CHECK(count_entries(folder / "taken") == 1);
}

TEST_CASE("files: temporary names differ and stay in the folder") {
  const fs::path path = "some/where/name";
  CHECK(temporary_name(path) != temporary_name(path));
  CHECK(temporary_name(path).parent_path() == path.parent_path());
}

}  // namespace dinomaly
