// Misspelt words, numbers as text, a folder's lock, files that change their folder.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/files.h"
#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/move_file.h"
#include "dinomaly/base/numbers.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

TEST_CASE("did you mean: the nearest name, and none where none is near") {
  const std::vector<std::string> flags{"--threshold", "--pixel-threshold", "--tile", "--out", "--json"};
  CHECK(did_you_mean("--treshold", flags) == "; did you mean '--threshold'?");    // left out
  CHECK(did_you_mean("--thresholdd", flags) == "; did you mean '--threshold'?");  // inserted
  CHECK(did_you_mean("--threshild", flags) == "; did you mean '--threshold'?");   // replaced
  CHECK(did_you_mean("--htreshold", flags) == "; did you mean '--threshold'?");   // swapped
  CHECK(did_you_mean("--Threshold", flags) == "; did you mean '--threshold'?");   // another case
  CHECK(did_you_mean("--pixelthreshold", flags) == "; did you mean '--pixel-threshold'?");
  CHECK(did_you_mean("--colour", flags).empty());
  CHECK(did_you_mean("", flags).empty());
  CHECK(did_you_mean("x", {}).empty());
  CHECK(did_you_mean(std::string(1 << 20, 'x'), flags).empty());
}

TEST_CASE("numbers: an f32 has the digits that make it this f32, another double all that it needs") {
  CHECK(json_text(short_numbers({double{0.7f}, double{0.1f}, 1.0, 0.0, -2.5, 1e-6, 0.1})) ==
        "[0.7,0.1,1.0,0.0,-2.5,1e-06,0.1]");
  const double third = 1.0 / 3;
  CHECK(short_number(third) == third);
  CHECK(short_number(third, printed_digits) == 0.333333333);
  CHECK(std::isnan(short_number(NAN)));
  // The order of scores and thresholds, and which are equal, is that of their short forms.
  for (float x : {0.02f, 0.3f, 0.69999998807f, 1e-7f, 3e38f, 1e-45f}) {
    const float next = std::nextafter(x, INFINITY);
    CHECK(static_cast<float>(short_number(x)) == x);
    CHECK(short_number(x) < short_number(next));
  }
  const nlohmann::json nested =
      short_numbers({{"a", {{"b", {double{0.3f}}}}}, {"count", 7}, {"name", "0.30000001"}});
  CHECK(json_text(nested) == R"({"a":{"b":[0.3]},"count":7,"name":"0.30000001"})");
}

TEST_CASE("JSON: names that are not UTF-8 stay apart, in values and in names of fields") {
  CHECK(utf8("Stra\xc3\x9f"
             "e \xe2\x82\xac \xf0\x9f\x94\xa9") ==
        "Stra\xc3\x9f"
        "e \xe2\x82\xac \xf0\x9f\x94\xa9");
  CHECK(utf8("Stra\xdf"
             "e") == "Stra\\xDFe");
  CHECK(utf8("\xff\xfe") == "\\xFF\\xFE");
  CHECK(utf8("\xe2\x82") == "\\xE2\\x82");           // cut short
  CHECK(utf8("\xc0\xaf") == "\\xC0\\xAF");           // longer than need be
  CHECK(utf8("\xed\xa0\x80") == "\\xED\\xA0\\x80");  // half of a pair
  CHECK(utf8("\xf4\x90\x80\x80") == "\\xF4\\x90\\x80\\x80");
  CHECK(json_text({{"a\xe4", {"b\xe4", "b\xf6"}}}) == R"({"a\\xE4":["b\\xE4","b\\xF6"]})");
  nlohmann::json every;  // what stays as it is can be parsed
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second)
      every.push_back(
          std::string{static_cast<char>(first), static_cast<char>(second), 'a', static_cast<char>(second)});
  }
  CHECK(nlohmann::json::parse(json_text(every)).size() == every.size());
}

TEST_CASE("numbers: what people write is read alike, and nothing else") {
  for (const char* text : {".5", "0.5", "+.5", " 0.50 ", "5e-1", "5.E-1", "00.5"}) {
    CAPTURE(text);
    CHECK(parse_number(text) == 0.5);
  }
  CHECK(parse_number("5.") == 5);
  CHECK(parse_number("-.5") == -0.5);
  for (const char* text : {"", " ", ".", "+", "-", "+-1", "e1", "1e", "0x1", "1_000", "1,5", "nan", "inf",
                           "infinity", "1 2", "1f", "1e999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number(text));
    CHECK_FALSE(whole_number(text));
  }
  for (const char* text : {"16", "+16", "016", "16.", "1.6e1", " 16 "}) {
    CAPTURE(text);
    CHECK(whole_number(text) == "16");
  }
  CHECK(whole_number("-3") == "-3");
  CHECK(whole_number("-0") == "0");
  CHECK(whole_number("18446744073709551615") == "18446744073709551615");  // a seed
  CHECK_FALSE(whole_number("1.5"));
  CHECK_FALSE(whole_number("1e17"));
  CHECK(parse_numbers("1, .5,2.") == std::vector<double>{1, 0.5, 2});
  for (const char* text : {"", "1,", ",1", "1,,2", "1;2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_numbers(text));
  }
}

TEST_CASE("counted: one thing, and several") {
  CHECK(counted(1, "image") == "1 image");
  CHECK(counted(0, "image") == "0 images");
  CHECK(counted(2, "image is", "images are") == "2 images are");
}

TEST_CASE("folder lock: one at a time, free again however its holder ends, and nothing left behind") {
  const TemporaryFolder folder;
  const fs::path out = folder / "out";
  {
    const FolderLock lock(out);
    CHECK(one_line_with(input_error([&] { FolderLock second(out); }),
                        "another run is writing into this folder"));
    const FolderLock below(out / "below");  // of another folder
  }
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(out);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK_FALSE(input_error([&] { FolderLock second(out); }).empty());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]), close(ready[1]);
  fs::remove(out / "below");
  CHECK(input_error([&] { FolderLock second(out); }).empty());
  CHECK(fs::is_empty(out));
  write_file(folder / "file", "");
  CHECK_FALSE(input_error([&] { FolderLock none(folder / "file"); }).empty());
}

namespace {

// A folder on another file system than the test's own, empty where there is none.
fs::path other_file_system(const fs::path& here) {
  struct stat a, b;
  const fs::path shared = "/dev/shm";
  if (stat(here.c_str(), &a) != 0 || stat(shared.c_str(), &b) != 0 || a.st_dev == b.st_dev) return {};
  std::string name = (shared / "dinomaly-test-XXXXXX").string();
  return mkdtemp(name.data()) == nullptr ? fs::path() : fs::path(name);
}

void check_moves(const fs::path& from, const fs::path& to) {
  for (int n = 1; n <= 3; ++n) {
    write_file(from / "a.b.png", fmt::format("image {}", n));
    const fs::path moved = move_file(from / "a.b.png", to / "deep/a.b.png");
    CHECK(moved == to / "deep" / (n == 1 ? "a.b.png" : fmt::format("a.b-{}.png", n)));
    CHECK(read_file(moved, 100) == fmt::format("image {}", n));
    CHECK_FALSE(fs::exists(from / "a.b.png"));
  }
  CHECK(read_file(to / "deep/a.b.png", 100) == "image 1");
  CHECK(std::distance(fs::directory_iterator(to / "deep"), fs::directory_iterator()) ==
        3);  // no copies half-way
  CHECK(one_line_with(input_error([&] { move_file(from / "none.png", to / "none.png"); }), "none.png"));
  CHECK_FALSE(fs::exists(to / "none.png"));
  write_file(from / "kept.png", "kept");
  write_file(to / "file", "");
  CHECK_FALSE(input_error([&] { move_file(from / "kept.png", to / "file/kept.png"); }).empty());
  CHECK(read_file(from / "kept.png", 100) == "kept");
}

}  // namespace

TEST_CASE("move file: into new folders, over no file, across file systems; a failure leaves it where it is") {
  const TemporaryFolder folder;
  check_moves(folder / "from", folder / "to");
  const fs::path other = other_file_system(folder.path());
  if (other.empty()) {
    MESSAGE("skipped: no second file system to write to");
    return;
  }
  check_moves(folder / "from", other);
  fs::remove_all(other);
}

TEST_CASE("files: '-' is standard output, which is neither a folder nor a file to rename") {
  const TemporaryFolder folder;
  CHECK(one_line_with(input_error([] { make_folder("-"); }), "standard output"));
  CHECK(one_line_with(input_error([] { prepare_target("-"); }), "standard output"));
  CHECK_FALSE(fs::exists("-"));
}

}  // namespace dinomaly
