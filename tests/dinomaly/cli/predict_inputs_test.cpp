// What predict takes for an image, and what of the rest it names, counts or passes over.
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dinomaly/cli/image_source.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/image_writers.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

int64_t count_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

std::string scores_of(const std::string& json_lines) {
  std::istringstream stream(json_lines);
  std::string scores;
  for (std::string line; std::getline(stream, line);)
    scores += fmt::format("{} ", nlohmann::json::parse(line).at("score").get<double>());
  return scores;
}

// The passes of Adam7 (PNG, section 8.2): the first pixel, and the steps to the next.
struct Pass {
  int64_t x, y, step_x, step_y;
};
constexpr Pass adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                          {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

std::string interlaced_rows(const Image& rgb) {
  std::string rows;
  for (const Pass& pass : adam7) {
    if (pass.x >= rgb.width) continue;
    for (int64_t y = pass.y; y < rgb.height; y += pass.step_y) {
      rows += '\0';
      for (int64_t x = pass.x; x < rgb.width; x += pass.step_x)
        rows.append(reinterpret_cast<const char*>(rgb.at(x, y)), 3);
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("image files: names and folders") {
  CHECK(is_image_name("a/B.JPeG"));
  CHECK(!is_image_name("a/.b.png"));
  CHECK(!is_image_name("a/b.png.txt"));
  const TemporaryFolder folder;
  write_file(folder / "b/2.png", "");
  write_file(folder / "a/1.bmp", "");
  write_file(folder / ".hidden/3.png", "");
  write_file(folder / "note.txt", "");
  fs::create_symlink("gone.png", folder / "c.png");
  const auto found = list_images(folder.path()).images;
  REQUIRE(found.size() == 3);
  CHECK(found[0] == folder / "a/1.bmp");
  CHECK(found[2] == folder / "c.png");  // reading it reports that its file is missing
  CHECK(one_line_with(input_error([&] { list_images(folder / "none"); }), "none"));
  fs::create_directories(folder / "empty");
  CHECK(list_images(folder / "empty").images.empty());
  // A folder that is watched may still be empty; what comes between listing and watching is not lost.
  const std::string empty = (folder / "empty").string();
  ImageSource watched({empty}, empty);
  write_file(folder / "empty/new.png", encode_png(Image(2, 2, 3)));
  CHECK(watched.next({})->path == folder / "empty/new.png");
  fs::remove(folder / "empty/new.png");
  CHECK(one_line_with(input_error([&] { ImageSource({empty}, ""); }), "no images"));
  {
    ImageSource stopped({"a.png", "b.png"}, "");
    const StopSignal signals;
    CHECK(stopped.next({})->path == "a.png");
    CHECK(StopSignal::note(SIGINT));
    CHECK_FALSE(StopSignal::note(SIGINT));  // a second one does what it does without a listener
    CHECK(StopSignal::number() == SIGINT);
    CHECK_FALSE(stopped.next({}));
  }
  CHECK_FALSE(StopSignal::note(SIGTERM));
}

TEST_CASE("predict: what is no image, damaged or of a format that is not read is named, counted, status 2") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/a.png", image);
  write_file(folder / "in/b.txt", "notes");
  write_file(folder / "in/below/c.csv", "1,2");
  write_file(folder / "in/torn.png", image.substr(0, 99));
  write_file(folder / "in/anim.gif", "GIF89a" + std::string(20, '\0'));
  write_file(folder / "in/.DS_Store", "system");
  write_file(folder / "in/._a.png", "system");
  save_result_png(folder / "in/a_overlay.png", Image(4, 4, 3));
  const std::string call = fmt::format("predict {0}/model {0}/in", folder.path().string());
  for (const char* flags : {"", " --json", " --csv"}) {
    const Outcome outcome = run_dinomaly(folder, call + flags);
    CAPTURE(outcome.error);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.error, "2 files are not images and are left out: "));
    for (const char* name : {"b.txt", "c.csv", "torn.png", "anim.gif"}) CHECK(contains(outcome.error, name));
    CHECK_FALSE(contains(outcome.error, "DS_Store"));
    CHECK_FALSE(contains(outcome.error, "._a"));
    CHECK_FALSE(contains(outcome.error + outcome.out, "a_overlay"));
    CHECK(outcome.error.ends_with("dinomaly: 4 of 5 files were not judged\n"));
  }
  CHECK(count_lines(run_dinomaly(folder, call).out) == 1);
}

TEST_CASE(
    "predict: the masks of a data set are passed over and counted, other folders called so are judged") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string(), image = bytes_of(folder / "data/wood/test/good/000.png");
  const auto masks = list_images(folder / "data/wood/ground_truth").images.size();
  const auto all = list_images(folder / "data/wood").images.size();
  REQUIRE(masks > 0);
  const Outcome whole = run_well(folder, fmt::format("predict {0}/model {0}/data/wood", at));
  CHECK(count_lines(whole.out) == static_cast<int64_t>(all - masks));
  CHECK_MESSAGE(contains(whole.error, fmt::format("belong to images: {} mask", masks)), whole.error);
  check_refused(folder, fmt::format("predict {0}/model {0}/data/wood/ground_truth", at),
                fmt::format("no images in this folder but {} mask", masks));
  for (const char* name : {"plain/dent/0.png", "plain/masks/dent/0.png", "plain/1.png", "plain/1_mask.png"})
    write_file(folder / name, image);
  const Outcome plain = run_well(folder, fmt::format("predict {0}/model {0}/plain", at));
  CHECK_MESSAGE(count_lines(plain.out) == 2, plain.out);
  CHECK_MESSAGE(contains(plain.error, "belong to images: 2 masks"), plain.error);
  for (const char* name :
       {"alone/ground_truth/0.png", "alone/ground_truth/dent/0.png", "alone/masks/0_mask.png"})
    write_file(folder / name, image);
  CHECK(count_lines(run_well(folder, fmt::format("predict {0}/model {0}/alone", at)).out) == 3);
}

TEST_CASE("predict: a model's file that is cut short while it is used changes no verdict") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string();
  const Outcome outcome = run_dinomaly(
      folder, "predict " + at + "/model - --json --batch 1",
      fmt::format("(i={0}/data/wood/test/good/000.png; echo $i; "
                  "until [ -s {0}/stdout ]; do sleep 0.05; done; : >{0}/model; echo $i; echo $i) | ",
                  at));
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  std::istringstream scores(scores_of(outcome.out));
  std::string first, second, third;
  scores >> first >> second >> third;
  CHECK((!third.empty() && first == second && second == third));
}

TEST_CASE("predict: standard input that names nothing is no success") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string call = fmt::format("predict {}/model - </dev/null", folder.path().string());
  check_refused(folder, call, "standard input is empty: it names no images");
  write_file(folder / "blank", "\n\r\n\n");
  check_refused(folder, fmt::format("predict {0}/model - <{0}/blank", folder.path().string()), "is empty");
}

TEST_CASE("predict: messages that cannot be written cost no verdict") {
  const TemporaryFolder folder;
  make_small_project(folder);
  for (const char* lost : {"2>&-", "2>/dev/full"}) {
    const std::string command = fmt::format(
        "OMP_NUM_THREADS=1 {1}/bin/dinomaly predict {0}/model {0}/no.png {0}/data/wood/test/good "
        ">{0}/verdicts {2}",
        folder.path().string(), DINOMALY_BINARY_DIR, lost);
    const int status = std::system(command.c_str());
    CHECK(WEXITSTATUS(status) == 2);
    const std::string verdicts = read_file(folder / "verdicts", 1 << 20);
    CHECK_MESSAGE(std::count(verdicts.begin(), verdicts.end(), '\n') == 4, verdicts);
  }
}

TEST_CASE("predict: names on standard input end in NUL as well as in a new line, and none is lost") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  for (const char* name : {"in/a.png", "in/two\nlines.png", "in/ends.png\r", "in/d.png"})
    write_file(folder / name, image);
  const std::string at = folder.path().string(), call = "predict " + at + "/model - --json";
  const Outcome found = run_dinomaly(folder, call, "find " + at + "/in -type f -print0 | ");
  CHECK_MESSAGE(found.status == 0, found.error);
  CHECK(count_lines(found.out) == 4);
  CHECK(contains(found.out, "two\\nlines.png"));
  CHECK(count_lines(
            run_dinomaly(folder, call, "printf '%s\\0%s' " + at + "/in/a.png " + at + "/in/d.png | ").out) ==
        2);
  // Both kinds of ends, the second of which comes later.
  const Outcome mixed =
      run_dinomaly(folder, call, "(echo " + at + "/in/a.png; sleep 2; printf 'b.png\\0c.png\\n') | ");
  CHECK(mixed.status == 2);
  CHECK_MESSAGE(contains(mixed.error, "standard input: a NUL after lines"), mixed.error);
}

TEST_CASE("predict: a second run does not judge the first one's results, with --out inside the input") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const fs::path in = folder / "data/wood/test/good";
  for (const char* out : {"results", "."}) {
    const std::string call =
        fmt::format("predict {}/model {} --json --map-format tiff --threshold 0 --out {}",
                    folder.path().string(), in.string(), (in / out).string());
    const Outcome first = run_dinomaly(folder, call), second = run_dinomaly(folder, call);
    CHECK_MESSAGE(first.status == 0, first.error);
    CHECK_MESSAGE(second.status == 0, second.error);
    CHECK(count_lines(first.out) == 4);
    CHECK(second.out == first.out);
    CHECK(fs::exists(in / out / "000_overlay.png"));
  }
  // Named as files they are passed over, too, and counted.
  const Outcome named =
      run_dinomaly(folder, fmt::format("predict {}/model {}/000.png {}/000_overlay.png {}/000.tiff",
                                       folder.path().string(), in.string(), in.string(), in.string()));
  CHECK(named.status == 0);
  CHECK(count_lines(named.out) == 1);
  CHECK(contains(named.error, "dinomaly: 2 results of this program passed over\n"));
}

TEST_CASE("predict --watch: results of the program are passed over, and counted at the end") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in");
  Child child(folder, fmt::format("predict {0}/model --watch {0}/in --csv", folder.path().string()));
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  save_result_png(folder / "in/a_overlay.png", Image(64, 64, 3));
  save_tiff_map(folder / "in/a.tiff", Tensor::ones({64, 64}));
  save_png(folder / "in/b.png", Image(64, 64, 3));
  CHECK(wait_until([&] { return count_lines(child.out()) >= 2; }));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
  CHECK(count_lines(child.out()) == 2);
  CHECK(contains(child.out(), "/in/b.png,64,64,"));
  CHECK_MESSAGE(contains(child.error(), "dinomaly: 2 results of this program passed over\n"), child.error());
}

TEST_CASE("predict: an interlaced PNG is judged as the same pixels in rows") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const Image image = load_image_rgb(folder / "data/wood/test/good/000.png");
  const std::string bytes = interlaced(png(64, 64, 8, 2, interlaced_rows(image)));
  write_file(folder / "in/a.png", bytes);
  save_png(folder / "in/b.png", image);
  CHECK(load_image_rgb(folder / "in/a.png") == image);
  const Outcome outcome =
      run_dinomaly(folder, fmt::format("predict {0}/model {0}/in --json", folder.path().string()));
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  const std::string scores = scores_of(outcome.out);
  const size_t half = scores.find(' ') + 1;
  REQUIRE(scores.size() == 2 * half);
  CHECK(scores.substr(0, half) == scores.substr(half));
  write_file(folder / "in/a.png", bytes.substr(0, bytes.size() / 2));
  CHECK(run_dinomaly(folder, fmt::format("predict {0}/model {0}/in", folder.path().string())).status == 2);
}

TEST_CASE("eval: maps of other programs in TIFF of 16-bit floats are judged, and one cut short is named") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string data = (folder / "data").string();
  for (const char* kind : {"halves", "floats"}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder / "data")) {
      const fs::path relative = entry.path().lexically_relative(folder / "data");
      if (!contains(relative.string(), "/test/") || !entry.is_regular_file()) continue;
      fs::path map = folder / kind / relative;
      map.replace_extension(".tiff");
      fs::create_directories(map.parent_path());
      const bool good = contains(relative.string(), "/good/"), half = kind[0] == 'h';
      TiffFormat format{.width = 64, .height = 64, .bits = half ? 16 : 32};
      format.format = SAMPLEFORMAT_IEEEFP;
      // 0.25 or 1.5 in the upper half, 0.5 below.
      std::vector<uint16_t> halves(64 * 64, 0x3800);
      std::vector<float> floats(64 * 64, 0.5f);
      std::fill_n(halves.begin(), 64 * 32, good ? 0x3400 : 0x3E00);
      std::fill_n(floats.begin(), 64 * 32, good ? 0.25f : 1.5f);
      write_tiff(map, format, {half ? bytes_of(halves) : bytes_of(floats)});
    }
  }
  const std::string from = "eval " + folder.path().string() + "/";
  const Outcome halves = run_dinomaly(folder, from + "halves " + data + " --protocol official"),
                floats = run_dinomaly(folder, from + "floats " + data + " --protocol official");
  CHECK_MESSAGE(halves.status == 0, halves.error);
  CHECK(contains(halves.out, "wood"));
  CHECK(halves.out == floats.out);
  const fs::path map = folder / "halves/wood/test/good/000.tiff";
  write_file(map, bytes_of(map).substr(0, 4000));
  check_refused(folder, from + "halves " + data + " --protocol official", "good/000.tiff: ");
}
