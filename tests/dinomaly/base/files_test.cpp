#include "dinomaly/base/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

TEST_CASE("files: what may not be looked at is not called missing") {
  const TemporaryFolder folder;
  write_file(folder / "shut/data", "12345");
  fs::permissions(folder / "shut", fs::perms::none);
  {
    const Unprivileged user;
    const std::string expected = "shut/data: cannot read: Permission denied";
    CHECK(one_line_with(input_error([&] { read_file(folder / "shut/data", 10); }), expected));
    CHECK(one_line_with(input_error([&] { check_exists(folder / "shut/data", "folder"); }), expected));
  }
  fs::permissions(folder / "shut", fs::perms::owner_all);
  check_exists(folder / "shut", "folder");
  CHECK(one_line_with(input_error([&] { check_exists(folder / "none", "folder"); }), "none: no such folder"));
}

TEST_CASE("files: folders of killed programs go, those of others and of other names stay") {
  const TemporaryFolder folder;
  // Beyond the largest number of a process.
  const std::string gone = "999999999-0.tmp", here = fmt::format("{}-0.tmp", getpid());
  for (const std::string& name :
       {".set." + gone, ".set." + here, ".sets." + gone, ".set.old." + gone, "set." + gone})
    write_file(folder / name / "file", "x");
  remove_temporary_folders(folder / "set");
  CHECK(count_entries(folder.path()) == 4);
  CHECK_FALSE(fs::exists(folder / (".set." + gone)));
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

TEST_CASE("files: a link stays and leads to the new bytes, which keep the old ones' permissions") {
  const TemporaryFolder folder;
  write_file(folder / "there/file", "old");
  fs::permissions(folder / "there/file", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("there/file", folder / "link");
  fs::create_symlink("link", folder / "second");
  write_file(folder / "second", "new");
  CHECK(fs::is_symlink(folder / "second"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read_file(folder / "there/file", 10) == "new");
  CHECK(fs::status(folder / "there/file").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  fs::create_symlink("there/later", folder / "dangling");
  write_file(folder / "dangling", "made");
  CHECK(read_file(folder / "there/later", 10) == "made");
  fs::create_symlink("loop", folder / "loop");
  CHECK(one_line_with(input_error([&] { write_file(folder / "loop", "x"); }), "links lead nowhere"));
}

TEST_CASE("files: what may not be replaced or cannot be is refused before and at the writing") {
  const TemporaryFolder folder;
  write_file(folder / "file", "kept");
  fs::permissions(folder / "file", fs::perms::owner_read | fs::perms::group_read);
  fs::create_symlink("file", folder / "link");
  for (const char* name : {"file", "link"}) {
    CHECK(one_line_with(input_error([&] { write_file(folder / name, "x"); }), "read-only"));
    CHECK(one_line_with(input_error([&] { prepare_target(folder / name); }), "read-only"));
  }
  CHECK(read_file(folder / "file", 10) == "kept");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const int reader = open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  prepare_target(folder / "pipe");
  write_file(folder / "pipe", "bytes");
  char received[6] = {};
  CHECK(read(reader, received, 5) == 5);
  close(reader);
  CHECK(std::string(received) == "bytes");
  CHECK(fs::is_fifo(folder / "pipe"));
  // A device that takes nothing, /dev/full by another name.
  if (mknod((folder / "full").c_str(), S_IFCHR | 0600, makedev(1, 7)) != 0)
    return skip("no right to make a device");
  CHECK(one_line_with(input_error([&] { write_file(folder / "full", "x"); }), "No space left"));
  CHECK(fs::is_character_file(folder / "full"));
}

TEST_CASE("files: temporary names differ and stay in the folder") {
  const fs::path path = "some/where/name";
  CHECK(temporary_name(path) != temporary_name(path));
  CHECK(temporary_name(path).parent_path() == path.parent_path());
}

}  // namespace dinomaly
