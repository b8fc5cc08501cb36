// What a user sees of the program: a bar on a terminal, plain lines in a log, regions and tiles of predict,
// drawn images; and output that cannot be written is no success.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "dinomaly/base/progress.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/report/html_report.h"
#include "dinomaly/report/prediction_output.h"
#include "dinomaly/training/training_log.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;

namespace {

// What `work` writes to standard output and error, both being a terminal, in a process of its own.
std::string on_terminal(const std::function<void()>& work) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const int side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  REQUIRE(side >= 0);
  std::fflush(nullptr);  // or the child would write it too
  const pid_t child = fork();
  if (child == 0) {
    dup2(side, STDOUT_FILENO);
    dup2(side, STDERR_FILENO);
    work();
    std::fflush(stdout);
    _exit(0);
  }
  close(side);
  std::string text;
  char bytes[4096];
  // Reading fails once the child's side is closed.
  for (ssize_t size; (size = read(terminal, bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(size));
  waitpid(child, nullptr, 0);
  close(terminal);
  return text;
}

}  // namespace

TEST_CASE("progress: on a terminal one line with a bar, rate and time left, gone at the end") {
  const std::string text = on_terminal([] {
    Progress progress("predict", 4, 0.001);
    for (int i = 0; i < 4; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      progress.advance();
    }
  });
  CHECK_MESSAGE(contains(text, "\rpredict: 1/4 images"), text);
  CHECK(contains(text, "[#####...............]"));
  CHECK(contains(text, "[####################]"));
  CHECK(contains(text, "images/s"));
  CHECK(contains(text, " left"));
  CHECK_FALSE(contains(text, "\n"));
  CHECK(text.ends_with("\r\x1b[K"));
}

TEST_CASE("progress: in a log whole lines, neither bar nor control characters") {
  const TemporaryFolder folder;
  std::fflush(nullptr);  // or the child would write it too
  const pid_t child = fork();
  if (child == 0) {
    dup2(open((folder / "log").c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    {
      Progress progress("eval", 3, 0.001), quiet("quiet", 3);
      for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        progress.advance();
        quiet.advance();  // a line every ten seconds is none here
      }
    }
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const std::string log = read_file(folder / "log", 1 << 20);
  CHECK_MESSAGE(std::count(log.begin(), log.end(), '\n') == 3, log);
  CHECK(contains(log, "eval: 2/3 images  "));
  CHECK(contains(log, " left\n"));
  for (const char* part : {"\r", "\x1b", "[#", "quiet"}) CHECK_FALSE(contains(log, part));
}

// 40 images at 0.5 s of features each, 100 steps of 4 images at 0.1 s: 20 + 10 seconds.
TEST_CASE("training log: the time left counts the features that are left, once, and steps without theirs") {
  CHECK(seconds_left(2 + 0.1, 1, 99, {2, 4, 36}) == doctest::Approx(18 + 9.9));
  CHECK(seconds_left(20 + 1, 10, 90, {20, 40, 0}) == doctest::Approx(9));
  CHECK(seconds_left(1, 10, 90, {0, 40, 0}) == doctest::Approx(9));  // features from a cache
  CHECK(seconds_left(1, 0, 10, {1, 4, 4}) == doctest::Approx(1));
}

TEST_CASE("training log: a step that is not finite is an error that names it") {
  const TemporaryFolder folder;
  TrainingLog log(folder / "log.csv", 10, 16);
  log.add_step(0, 0.5, 0, 1);
  for (const double bad : {double{NAN}, double{INFINITY}}) {
    CHECK(one_line_with(input_error([&] { log.add_step(1, bad, 0, 1); }),
                        "training diverged in iteration 1: "));
    CHECK(one_line_with(input_error([&] { log.add_step(1, 0.5, 0, bad); }),
                        "training diverged in iteration 1: "));
  }
  CHECK(std::count(log.text().begin(), log.text().end(), '\n') == 2);
}

TEST_CASE(
    "training log: steps that are skipped have a row without numbers, and twenty in a row are an error") {
  const TemporaryFolder folder;
  TrainingLog log(folder / "log.csv", 100, 16);
  log.add_step(0, 0.5, 0, 1);
  for (int64_t step = 1; step < 20; ++step) log.add_skipped(step, 1e-3);
  CHECK(contains(log.text(), "\n19,,0.001,,"));
  log.add_step(20, 0.25, 0, 1);  // counts anew from here
  for (int64_t step = 21; step < 40; ++step) log.add_skipped(step, 1e-3);
  CHECK(one_line_with(input_error([&] { log.add_skipped(40, 1e-3); }),
                      "training diverged: the gradients of the last 20 steps, up to iteration 40, are not"));
  log.finish();
  const Curve curve = read_loss_curve(folder / "log.csv");
  REQUIRE(curve.size() == 2);
  CHECK((curve[1].x == 20 && curve[1].y == 0.25));
}

TEST_CASE("training log: a bar on a terminal, a plain line at the end elsewhere") {
  const TemporaryFolder folder;
  const auto work = [&] {
    TrainingLog log(folder / "log.csv", 2, 16);
    log.begin_steps(2);
    log.add_step(0, 0.5, 0, 1);
    log.add_step(1, 0.25, 1e-3, 1);
    log.finish();
    const std::string rows = log.text();  // both have the rate of the two
    const auto rate_of = [&](size_t end) {
      return rows.substr(rows.rfind(',', end), end - rows.rfind(',', end));
    };
    CHECK(rate_of(rows.size() - 1) == rate_of(rows.rfind('\n', rows.size() - 2)));
  };
  const std::string text = on_terminal(work);
  CHECK_MESSAGE(contains(text, "\riteration 2/2  loss 0.3750  lr 1.00e-03  "), text);
  CHECK(contains(text, "0:00 left  [####################]"));
  const std::string command = (folder / "out").string();
  std::fflush(nullptr);  // or the child would write it too
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(command.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    work();
    std::fflush(stdout);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const std::string plain = read_file(command, 1 << 20);
  CHECK_MESSAGE(contains(plain, "iteration 2/2  loss 0.3750"), plain);
  CHECK(plain.ends_with(" left\n"));
  CHECK_FALSE(contains(plain, "\r"));
}

TEST_CASE(
    "predict: regions are where the map is high, --min-area drops small ones; a tile's map is the "
    "library's") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = (folder / "data/wood/test/good/000.png").string(),
                    command = "predict " + (folder / "model").string() + " " + image + " --json ";
  const auto line = [&](const std::string& flags) {
    const Outcome outcome = run_dinomaly(folder, command + flags);
    CHECK_MESSAGE(outcome.status == 0, outcome.error);
    return nlohmann::json::parse(outcome.out);
  };
  const std::string maps = "--map-format tiff --out " + (folder / "out").string();
  CHECK(line(maps).at("regions").empty());  // nothing says what is high
  const Tensor map = load_tiff_map(folder / "out/000.tiff");
  std::vector<float> values = map.to_vector<float>();
  std::sort(values.begin(), values.end());
  const float threshold = values[values.size() * 9 / 10];
  const auto regions = line(fmt::format("--pixel-threshold {:.17g}", threshold)).at("regions");
  REQUIRE(!regions.empty());
  int64_t area = 0, largest = 0;
  for (const auto& region : regions) {
    area += region.at("area").get<int64_t>();
    largest = std::max(largest, region.at("area").get<int64_t>());
    CHECK(region.at("peak").get<float>() > threshold);
    const auto centroid = region.at("centroid").get<std::vector<double>>();
    const auto box = region.at("box").get<std::vector<double>>();
    CHECK((centroid[0] >= box[0] && centroid[0] <= box[0] + box[2]));
    CHECK((centroid[1] >= box[1] && centroid[1] <= box[1] + box[3]));
  }
  CHECK(area == std::count_if(values.begin(), values.end(), [&](float value) { return value > threshold; }));
  CHECK(regions[0].at("peak").get<float>() == values.back());
  CHECK(line(fmt::format("--pixel-threshold {:.17g} --min-area {}", threshold, largest + 1))
            .at("regions")
            .empty());

  const auto score = line("--tile 40 --overlap 12 " + maps).at("score").get<double>();
  const Detector detector = load_detector(folder / "model");
  const Prediction tiled = Predictor(*detector.model, {40, 12}).predict(load_image_rgb(image));
  CHECK(score == doctest::Approx(tiled.score).epsilon(1e-5));
  const std::vector<float> ours = load_tiff_map(folder / "out/000.tiff").to_vector<float>(),
                           expected = tiled.map().to_vector<float>();
  for (size_t i = 0; i < ours.size(); ++i) CHECK(std::abs(ours[i] - expected[i]) < 1e-5f);
}

TEST_CASE("predict: a score or a map value equal to its threshold is not above it") {
  Prediction prediction;
  prediction.score = 0.25;
  OutputOptions options;
  options.image_threshold = 0.25;
  CHECK_FALSE(write_prediction({}, prediction, "name", options).anomalous);
  options.image_threshold = std::nextafter(0.25, 0.0);
  CHECK(write_prediction({}, prediction, "name", options).anomalous);
}

TEST_CASE("make-dataset: its options decide what is drawn") {
  const TemporaryFolder folder;
  const std::string set = (folder / "set").string();
  const std::string call =
      "make-dataset " + set + " --categories wood --size 48 --train 3 --good 2 --per-defect 1 --seed 5";
  const Outcome outcome = run_dinomaly(folder, call);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK(outcome.out == set + ": drawn\n");
  CHECK(run_dinomaly(folder, call).out == set + ": already drawn\n");
  write_file(folder / "set/out/model.safetensors", "trained");
  const Outcome refused = run_dinomaly(folder, "make-dataset " + set);
  CHECK(refused.status == 2);
  CHECK_MESSAGE(one_line_with(refused.error.substr(0, refused.error.size() - 1),
                              "set/out/model.safetensors: not drawn"),
                refused.error);
  std::filesystem::remove_all(folder / "set/out");
  const Dataset dataset = read_dataset(set);
  REQUIRE(dataset.categories.size() == 1);
  CHECK(dataset.categories[0].train.size() == 3);
  CHECK(dataset.categories[0].test.size() == 2 + 5);
  const Image first = load_image_rgb(dataset.categories[0].train[0].image);
  CHECK((first.width == 48 && first.height == 48));
  CHECK(run_dinomaly(folder, "make-dataset " + set + "2 --categories wood --size 48 --train 3 --seed 6")
            .status == 0);
  CHECK(load_image_rgb(read_dataset(set + "2").categories[0].train[0].image).pixels != first.pixels);
}

// A limit of file size stands for a full disk.
TEST_CASE("make-dataset: a full disk is one line with a name that the user knows, and nothing is left") {
  const TemporaryFolder folder;
  const std::string set = (folder / "set").string();
  const Outcome outcome =
      run_dinomaly(folder, "make-dataset " + set + " --categories wood --size 256", "ulimit -f 4; ");
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(contains(outcome.error,
                         "dinomaly: " + set + "/wood/train/good/000.png: cannot be written: File too large"),
                outcome.error);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    CHECK_FALSE(contains(entry.path().string(), ".set."));
}

TEST_CASE("standard output that cannot be written is reported, status 2") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), images = (folder / "data/wood/test/good").string();
  for (const std::string& flags :
       {"predict " + model + " " + images + " --json --threshold 1", "info " + model, "info --json " + model,
        "eval " + model + " " + (folder / "data").string(), std::string("train --help")}) {
    CAPTURE(flags);
    const std::string error = (folder / "stderr").string();
    const int status = std::system(("OMP_NUM_THREADS=1 " + std::string(DINOMALY_BINARY_DIR) +
                                    "/bin/dinomaly " + flags + " >/dev/full 2>" + error)
                                       .c_str());
    CHECK(WEXITSTATUS(status) == 2);
    const std::string text = read_file(error, 1 << 20);
    CHECK_MESSAGE(text.starts_with("dinomaly: standard output: cannot be written"), text);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  }
}
