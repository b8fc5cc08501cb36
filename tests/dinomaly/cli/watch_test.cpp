// dinomaly predict while it runs: --watch with folders, --move-to.
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "dinomaly/cli/image_source.h"
#include "dinomaly/report/prediction_output.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/image/npy_writer.h"

using namespace dinomaly;
namespace fs = std::filesystem;

TEST_CASE("watch: folders below, those that come with images, and those that come and go") {
  const TemporaryFolder folder;
  const fs::path in = folder / "in";
  const std::string image = encode_png(Image(2, 2, 3));
  fs::create_directories(in / "early/deep");
  fs::create_directories(in / ".hidden");
  write_file(folder / "batch/inner/brought.png", image);
  FolderWatch watch(in);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto next = [&] {
    const auto path = watch.next({}, [&] { return std::chrono::steady_clock::now() > end; });
    return path ? path->lexically_relative(in).string() : "";
  };
  write_file(in / "early/deep/a.png", image);
  CHECK(next() == "early/deep/a.png");
  fs::rename(folder / "batch", in / "late");
  CHECK(next() == "late/inner/brought.png");
  write_file(in / "late/inner/b.png", image);
  CHECK(next() == "late/inner/b.png");
  write_file(in / "made/at/once/c.png", image);  // maybe before the new folders are watched
  CHECK(next() == "made/at/once/c.png");
  fs::rename(in / "late", in / "renamed");
  CHECK(next().starts_with("renamed/inner/"));
  CHECK(next().starts_with("renamed/inner/"));
  fs::remove_all(in / "early");
  fs::rename(in / "renamed", folder / "gone");
  write_file(in / ".hidden/no.png", image);
  write_file(folder / "gone/inner/no.png", image);
  write_file(in / "d.png", image);
  CHECK(next() == "d.png");
  write_file(in / "e.npy", npy_of("'|u1'", "(1, 2, 3)", "pixels"));
  CHECK(next() == "e.npy");
  fs::remove_all(in);
  CHECK(one_line_with(input_error(next), "is gone"));
}

TEST_CASE(
    "watch: what is no image is named once by its extension and counted; one about to be renamed is not") {
  const TemporaryFolder folder;
  const fs::path in = folder / "in";
  fs::create_directories(in);
  FolderWatch watch(in);
  std::vector<std::string> warnings;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto ended = [&] { return std::chrono::steady_clock::now() > end || watch.other_count() >= 4; };
  const std::string image = encode_png(Image(2, 2, 3));
  { std::ofstream(in / "a.png.part", std::ios::binary) << image; }
  fs::rename(in / "a.png.part", in / "a.png");
  { std::ofstream(in / "part_17", std::ios::binary) << image; }  // an image all the same
  for (const char* name : {"1.json", "2.json", "notes", "map.npy"}) std::ofstream(in / name) << "{}";
  for (const char* name : {".hidden", "Thumbs.db", "gone.tmp"}) std::ofstream(in / name) << "{}";
  fs::remove(in / "gone.tmp");
  std::vector<std::string> images;
  while (const auto path = watch.next({}, ended, [&](const std::string& line) { warnings.push_back(line); }))
    images.push_back(path->filename().string());
  std::sort(images.begin(), images.end());
  CHECK(images == std::vector<std::string>{"a.png", "part_17"});
  CHECK(watch.other_count() == 4);
  CHECK(watch.first_others().size() == 4);
  REQUIRE_MESSAGE(warnings.size() == 3, warnings.size());  // .json, .npy and none
  for (const std::string& line : warnings) CHECK_MESSAGE(contains(line, "is no image and not judged"), line);
}

TEST_CASE("watch: links to images, and what is no file but named like one") {
  const TemporaryFolder folder;
  const fs::path in = folder / "in";
  fs::create_directories(in);
  write_file(folder / "made.png", encode_png(Image(2, 2, 3)));
  write_file(folder / "other.png", encode_png(Image(3, 2, 3)));
  FolderWatch watch(in);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto next = [&] {
    const auto path = watch.next({}, [&] { return std::chrono::steady_clock::now() > end; });
    return path ? path->filename().string() : "";
  };
  fs::create_hard_link(folder / "made.png", in / "hard.png");
  CHECK(next() == "hard.png");
  fs::create_symlink(folder / "other.png", in / "soft.png");
  CHECK(next() == "soft.png");
  fs::create_symlink(folder / "missing.png", in / "dangling.png");
  CHECK(next() == "dangling.png");  // its reader names it
  REQUIRE(mkfifo((in / "pipe.png").c_str(), 0600) == 0);
  const auto ended = [&] { return watch.other_count() == 1 || std::chrono::steady_clock::now() > end; };
  CHECK_FALSE(watch.next({}, ended));
  CHECK(watch.first_others() == std::vector<fs::path>{in / "pipe.png"});
}

TEST_CASE("watch: more files at once than the system reports") {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  int64_t most = 0;
  limit >> most;
  if (most < 1 || most > 100000) return skip("the system's queue of events is unknown or very long");
  const TemporaryFolder folder;
  const fs::path in = folder / "in";
  const std::string image = encode_png(Image(2, 2, 3));
  write_file(in / "old.png", image);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  FolderWatch watch(in);
  for (int64_t i = 0; i <= most / 2; ++i) std::ofstream(in / fmt::format(".{}", i));  // two events each
  write_file(in / "deep/new.png", image);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto next = [&](std::chrono::seconds wait) {
    const auto until = std::min(end, std::chrono::steady_clock::now() + wait);
    const auto path = watch.next({}, [&] { return std::chrono::steady_clock::now() > until; });
    return path ? path->filename().string() : "";
  };
  CHECK(next(std::chrono::seconds(20)) == "new.png");
  CHECK(next(std::chrono::seconds(1)).empty());
}

TEST_CASE("predict --watch: masks that come are passed over and counted") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in/test");
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  Child child(folder, fmt::format("predict {0}/model --watch {0}/in", folder.path().string()));
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  write_file(folder / "in/1.png", image);
  REQUIRE(wait_until([&] { return lines_in(child.out()).size() == 1; }));
  write_file(folder / "in/1_mask.png", image);
  write_file(folder / "in/ground_truth/dent/2.png", image);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  write_file(folder / "in/test/dent/2.png", image);
  REQUIRE(wait_until([&] { return lines_in(child.out()).size() >= 2; }));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
  CHECK_MESSAGE(lines_in(child.out()).size() == 2, child.out());
  CHECK_MESSAGE(contains(child.error(), "because they belong to images: 2 masks"), child.error());
}

TEST_CASE("predict --watch: a model's file that is overwritten while it is used changes no verdict") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in");
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  Child child(folder, fmt::format("predict {0}/model --watch {0}/in", folder.path().string()));
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  write_file(folder / "in/1.png", image);
  REQUIRE(wait_until([&] { return lines_in(child.out()).size() == 1; }));
  std::ofstream(folder / "model", std::ios::binary | std::ios::trunc) << "another";  // in place, as cp does
  write_file(folder / "in/2.png", image + std::string(1, '\0'));
  CHECK(wait_until([&] { return lines_in(child.out()).size() == 2; }));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
  const std::vector<std::string> lines = lines_in(child.out());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].substr(0, lines[0].find(" /")) == lines[1].substr(0, lines[1].find(" /")));
}

TEST_CASE("predict --watch: whole, moved and half-written images; ends on a signal") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in");
  Child child(folder,
              fmt::format("predict {0}/model --watch {0}/in --json --out {0}/out", folder.path().string()));
  const auto count = [&] { return lines_in(child.out()).size(); };
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  const std::string bytes = read_file(folder / "data/wood/test/good/000.png", 1 << 20);
  write_file(folder / "in/moved.png", bytes);  // written under a hidden name, then renamed
  CHECK(wait_until([&] { return count() == 1; }));
  { std::ofstream(folder / "in/slow.png", std::ios::binary) << bytes.substr(0, bytes.size() / 2); }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  {
    std::ofstream(folder / "in/slow.png", std::ios::binary | std::ios::app) << bytes.substr(bytes.size() / 2);
  }
  CHECK(wait_until([&] { return count() == 2; }));
  { std::ofstream(folder / "in/broken.jpg") << "this will never be an image"; }
  { std::ofstream(folder / "in/notes.txt") << "not asked for"; }
  { std::ofstream(folder / "in/points.npy") << "an array of something else"; }
  CHECK(wait_until([&] { return count() == 3; }));
  CHECK(wait_until([&] { return contains(child.error(), "notes.txt is no image and not judged"); }));
  CHECK(wait_until([&] { return contains(child.error(), "points.npy is no image and not judged"); }));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
  std::vector<nlohmann::json> lines;
  for (const std::string& line : lines_in(child.out())) lines.push_back(nlohmann::json::parse(line));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].contains("score"));
  CHECK(lines[1].at("score") == lines[0].at("score"));
  CHECK(lines[2].contains("error"));
  CHECK(contains(child.error(), "broken.jpg"));
  CHECK_MESSAGE((contains(child.error(), "2 files are not images and are left out: ") &&
                 contains(child.error(), "3 of 5 files were not")),
                child.error());
  CHECK(fs::exists(folder / "out/slow_overlay.png"));
}

TEST_CASE("predict --watch: what had come but was not whole at the end, and linked folders, are named") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in/.hidden");
  fs::create_directories(folder / "elsewhere");
  fs::create_directory_symlink(folder / "elsewhere", folder / "in/linked");
  Child child(folder, fmt::format("predict {0}/model --watch {0}/in", folder.path().string()));
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  CHECK(wait_until(
      [&] { return contains(child.error(), "links to folders, which are not watched: 1: linked"); }));
  fs::create_directory_symlink(folder / "elsewhere", folder / "in/later");
  CHECK(wait_until(
      [&] { return contains(child.error(), "later is a link to a folder, which is not watched"); }));
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/whole.png", image);
  CHECK(wait_until([&] { return lines_in(child.out()).size() == 1; }));
  { std::ofstream(folder / "in/empty.png"); }
  { std::ofstream(folder / "in/torn.jpg") << encode_jpeg(Image(64, 64, 3), 90).substr(0, 200); }
  { std::ofstream(folder / "in/notes.txt") << "no image"; }
  CHECK(WEXITSTATUS(child.end_with(SIGINT)) == 0);
  for (const char* name : {"empty.png", "torn.jpg"})
    CHECK_MESSAGE(contains(child.error(), name), child.error());
  CHECK(contains(child.error(), "not judged, since they had only just come or were not whole: 2: "));
  CHECK_MESSAGE(contains(child.error(), "3 of 4 files were not judged"), child.error());
}

TEST_CASE("predict --watch: what is mistyped, or would be watched in turn, is refused") {
  const TemporaryFolder folder;
  make_small_project(folder);
  fs::create_directories(folder / "in/below");
  const std::string call = fmt::format("predict {0}/model --watch {0}/in ", folder.path().string());
  const std::pair<std::string, std::string> wrong[] = {{"TMP/on", "on: no such file or folder"},
                                                       {"--out TMP/in/below", "--out: "},
                                                       {"--out TMP/in/new/results", "--out: "},
                                                       {"--out TMP/in/../in/", "--out: "},
                                                       {"--move-to TMP/in/done --threshold 1", "--move-to: "},
                                                       {"--json --csv", "only one can be meant"}};
  for (auto [flags, expected] : wrong) {
    if (const size_t at = flags.find("TMP"); at != std::string::npos)
      flags.replace(at, 3, folder.path().string());
    check_refused(folder, call + flags, expected);
  }
  check_refused(folder, fmt::format("predict {0}/model --watch {0}/on", folder.path().string()),
                "not a folder");
  CHECK_FALSE(fs::exists(folder / "in/new"));
}

TEST_CASE(
    "predict --watch --move-to --csv: verdicts first, then each image goes where it belongs, over none") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  fs::create_directories(folder / "in/sub");
  for (const char* threshold : {"0", "3"}) {
    const std::string kind = *threshold == '0' ? "anomalous" : "good";
    fs::remove(folder / "child.error");
    Child child(
        folder,
        fmt::format("predict {0}/model --watch {0}/in/ --move-to {0}/done --csv --threshold {1} --out "
                    "{0}/results",
                    folder.path().string(), threshold));
    REQUIRE(wait_until([&] { return child.is_watching(); }));
    write_file(folder / "in/a.png", image);
    write_file(folder / "in/sub/a.png", image);
    const fs::path done = folder / "done" / kind;
    CHECK(wait_until([&] { return fs::exists(done / "a.png") && fs::exists(done / "sub/a.png"); }));
    write_file(folder / "in/a.png", image);
    CHECK(wait_until([&] { return fs::exists(done / "a-2.png"); }));
    CHECK_FALSE(fs::exists(folder / "in/a.png"));
    CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
    const std::vector<std::string> lines = lines_in(child.out());
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == csv_header());
    for (size_t i = 1; i < 4; ++i) CHECK(contains(lines[i], *threshold == '0' ? ",0,true," : ",3,false,"));
    CHECK(contains(lines[3], *threshold == '0' ? "results/a-2_overlay.png," : "results/a-4_overlay.png,"));
  }
  // Every image that was moved has kept its overlay.
  for (const char* name : {"a", "a-2", "a-3", "a-4", "sub/a", "sub/a-2"})
    CHECK_MESSAGE(fs::exists(folder / "results" / (std::string(name) + "_overlay.png")), name);
}

TEST_CASE("predict --move-to: a failed move is an error line, status 2, and what is not judged stays") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/a.png", image);
  write_file(folder / "in/b/c.png", image);
  write_file(folder / "in/torn.png", image.substr(0, 99));
  write_file(folder / "done/b", "a file where a folder must be");
  const Outcome outcome = run_dinomaly(
      folder, fmt::format("predict {0}/model {0}/in --move-to {0}/done", folder.path().string()));
  CHECK(outcome.status == 2);
  CHECK(lines_in(outcome.out).size() == 2);
  CHECK_MESSAGE(lines_in(without_first_line(outcome.error)).size() == 3, outcome.error);
  CHECK(fs::exists(folder / "done/a.png"));  // without a threshold there is no decision to go by
  CHECK_FALSE(fs::exists(folder / "in/a.png"));
  CHECK(fs::exists(folder / "in/b/c.png"));
  CHECK(fs::exists(folder / "in/torn.png"));
}
