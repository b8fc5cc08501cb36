// What include/dinomaly.h promises a caller besides numbers: errors, versions, threads, signals, symbols.
#include <doctest/doctest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "dinomaly/image/image.h"
#include "tests/bindings/c_project.h"

using namespace dinomaly;

TEST_CASE("C API: a bad call gives a status and a line, and what was to be filled is NULL") {
  const Project project;
  const std::string& image = project.images.front();
  dinomaly_detector* detector = project.open();
  const auto garbage = reinterpret_cast<dinomaly_result*>(1);
  dinomaly_result* result = garbage;
  const std::vector<uint8_t> pixels(64 * 64 * 3, 9);
  const auto predict_pixels = [&](int64_t width, int64_t height, int64_t channels, int64_t stride) {
    result = garbage;
    const dinomaly_status status =
        dinomaly_predict_pixels(detector, pixels.data(), width, height, channels, stride, &result);
    CHECK(result == nullptr);
    return status;
  };
  const dinomaly_status bad = DINOMALY_BAD_ARGUMENT, input = DINOMALY_BAD_INPUT;
  CHECK(failure(dinomaly_predict_file(nullptr, image.c_str(), &result), bad) == "detector is NULL");
  CHECK(result == nullptr);
  CHECK(failure(dinomaly_predict_file(detector, nullptr, &result), bad) == "path is NULL");
  CHECK(failure(dinomaly_predict_file(detector, image.c_str(), nullptr), bad) == "result is NULL");
  CHECK(failure(dinomaly_predict_encoded(detector, nullptr, 3, &result), bad) == "bytes is NULL");
  CHECK(failure(dinomaly_predict_pixels(detector, nullptr, 1, 1, 3, 3, &result), bad) == "pixels is NULL");
  CHECK(contains(failure(predict_pixels(64, 64, 3, 191), bad), "stride of 191"));
  CHECK(contains(failure(predict_pixels(64, 64, 3, -192), bad), "stride of -192"));
  CHECK(contains(failure(predict_pixels(0, 64, 3, 192), bad), "0 x 64"));
  CHECK(contains(failure(predict_pixels(64, -1, 3, 192), bad), "64 x -1"));
  CHECK(contains(failure(predict_pixels(64, 64, 0, 192), bad), "0 channels"));
  CHECK(contains(failure(predict_pixels(64, 64, 99, 1 << 20), bad), "99 channels"));
  CHECK(contains(failure(predict_pixels(8, 8, 5, 40), input), "5 channels"));
  CHECK(contains(failure(predict_pixels(INT64_MAX, INT64_MAX, 3, INT64_MAX), input), "more than are judged"));
  CHECK(contains(failure(predict_pixels(1 << 20, 1, 3, 3 << 20), input), "more than are judged"));

  CHECK(contains(failure(dinomaly_predict_file(detector, "/nowhere.png", &result), input), "/nowhere.png"));
  const std::string text = failure(dinomaly_predict_encoded(detector, "no image", 8, &result), input);
  CHECK_MESSAGE(text.starts_with("image: "), text);
  CHECK(failure(dinomaly_predict_encoded(detector, "", 0, &result), input).starts_with("image: "));
  const std::string bytes = read_file(image, 1 << 20);
  for (size_t size = 1; size < bytes.size(); size += 97)  // cut short anywhere
    CHECK(dinomaly_predict_encoded(detector, bytes.data(), size, &result) == input);

  REQUIRE(dinomaly_predict_file(detector, image.c_str(), &result) == DINOMALY_OK);
  dinomaly_region region;
  CHECK(contains(failure(dinomaly_result_region(result, SIZE_MAX, &region), bad), "region"));
  CHECK(dinomaly_result_region(nullptr, 0, &region) == bad);
  CHECK(dinomaly_result_region(result, 0, nullptr) == bad);
  dinomaly_result_free(result);
  dinomaly_free(detector);

  dinomaly_free(nullptr);
  dinomaly_result_free(nullptr);
  CHECK(dinomaly_channels(nullptr) == 0);
  CHECK(std::isnan(dinomaly_result_score(nullptr)));
  CHECK(std::isnan(dinomaly_result_threshold(nullptr)));
  CHECK(std::isnan(dinomaly_result_pixel_threshold(nullptr)));
  CHECK(dinomaly_result_decision(nullptr) == DINOMALY_UNDECIDED);
  CHECK((dinomaly_result_width(nullptr) == 0 && dinomaly_result_height(nullptr) == 0));
  CHECK((dinomaly_result_map(nullptr) == nullptr && dinomaly_result_json(nullptr) == nullptr));
  CHECK(dinomaly_result_region_count(nullptr) == 0);
}

TEST_CASE("C API: a model that cannot be opened, options that make no sense") {
  const Project project;
  dinomaly_detector* detector = nullptr;
  const dinomaly_status bad = DINOMALY_BAD_ARGUMENT, input = DINOMALY_BAD_INPUT;
  const auto opened = [&](const dinomaly_options& options) {
    detector = reinterpret_cast<dinomaly_detector*>(1);
    const dinomaly_status status = dinomaly_open(project.model.c_str(), &options, &detector);
    CHECK(detector == nullptr);
    return status;
  };
  CHECK(failure(dinomaly_open(nullptr, nullptr, &detector), bad) == "model is NULL");
  CHECK(failure(dinomaly_open(project.model.c_str(), nullptr, nullptr), bad) == "detector is NULL");
  CHECK(one_line_with(failure(dinomaly_open("/nowhere", nullptr, &detector), input), "/nowhere"));
  write_file(project.folder / "damaged", "damaged");
  CHECK(dinomaly_open((project.folder / "damaged").c_str(), nullptr, &detector) == input);

  dinomaly_options options = {};
  CHECK(contains(failure(opened(options), bad), "sizeof(dinomaly_options)"));
  options = no_options(), options.device = "abacus";
  CHECK(failure(opened(options), input).starts_with("device: "));
  options = no_options(), options.threads = -1;
  CHECK(failure(opened(options), input).starts_with("threads: -1"));
  options = no_options(), options.batch = 1 << 20;
  CHECK(failure(opened(options), input).starts_with("batch: "));
  options = no_options(), options.heads = -3;
  CHECK(failure(opened(options), input).starts_with("heads: "));
  options = no_options(), options.min_area = -5;
  CHECK(failure(opened(options), input).starts_with("min-area: "));
  options = no_options(), options.tile = -5;
  CHECK(contains(failure(opened(options), input), "tile"));
  options = no_options(), options.area = "moon";
  CHECK(contains(failure(opened(options), input), "moon"));
  options = no_options(), options.area = "crop";  // calibrated on whole images
  CHECK(dinomaly_open(project.model.c_str(), &options, &detector) == input);
  options = no_options(), options.category = "marble";
  CHECK(contains(failure(opened(options), input), "marble"));
  options = no_options(), options.fast = 1;
  CHECK(contains(failure(opened(options), input), "int8"));
  const double infinite = INFINITY;
  options = no_options(), options.threshold = &infinite;
  CHECK(failure(opened(options), input).starts_with("threshold: "));
}

TEST_CASE("C API: options of other versions of the library") {
  const Project project;
  dinomaly_detector* detector = nullptr;
  struct Later {
    dinomaly_options known;
    std::array<char, 16> unknown;
  } later = {};
  later.known.size = sizeof later;
  CHECK(dinomaly_open(project.model.c_str(), &later.known, &detector) == DINOMALY_OK);
  dinomaly_free(detector);
  later.unknown[3] = 1;
  CHECK(
      contains(failure(dinomaly_open(project.model.c_str(), &later.known, &detector), DINOMALY_BAD_ARGUMENT),
               dinomaly_version()));
  // What lies beyond the end of an older caller's is not looked at.
  dinomaly_options earlier = {};
  earlier.size = offsetof(dinomaly_options, threshold);
  earlier.threads = -7;
  CHECK(dinomaly_open(project.model.c_str(), &earlier, &detector) == DINOMALY_OK);
  dinomaly_free(detector);
  CHECK(dinomaly_abi_version() == DINOMALY_ABI_VERSION);
}

TEST_CASE("C API: an error belongs to the thread that made it") {
  dinomaly_detector* detector = nullptr;
  CHECK(dinomaly_open("/mine", nullptr, &detector) == DINOMALY_BAD_INPUT);
  std::thread([] {
    CHECK(std::string(dinomaly_last_error()).empty());
    dinomaly_detector* other = nullptr;
    CHECK(dinomaly_open("/theirs", nullptr, &other) == DINOMALY_BAD_INPUT);
    CHECK(contains(dinomaly_last_error(), "/theirs"));
  }).join();
  CHECK(contains(dinomaly_last_error(), "/mine"));
}

TEST_CASE("C API: threads judge with one detector at a time, and get the same bits") {
  const Project project;
  dinomaly_detector* detector = project.open();
  std::vector<std::vector<float>> alone;
  for (const std::string& image : project.images) {
    dinomaly_result* result = nullptr;
    REQUIRE(dinomaly_predict_file(detector, image.c_str(), &result) == DINOMALY_OK);
    alone.push_back(map_of(result));
    dinomaly_result_free(result);
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < project.images.size(); ++i) {
        dinomaly_result* result = nullptr;
        const bool judged =
            dinomaly_predict_file(detector, project.images[i].c_str(), &result) == DINOMALY_OK;
        wrong += !judged || map_of(result) != alone[i];
        dinomaly_result_free(result);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  dinomaly_free(detector);
}

namespace {
std::atomic<int> signals_handled = 0;
}

TEST_CASE("C API: a handler of the caller runs after the call, not in it") {
  const Project project;
  dinomaly_detector* detector = project.open();
  struct sigaction before, handler = {};
  handler.sa_handler = [](int) { ++signals_handled; };
  sigaction(SIGALRM, &handler, &before);
  sigevent to_this_thread = {};
  to_this_thread.sigev_notify = SIGEV_THREAD_ID;
  to_this_thread.sigev_signo = SIGALRM;
  to_this_thread._sigev_un._tid = gettid();
  timer_t timer;
  REQUIRE(timer_create(CLOCK_MONOTONIC, &to_this_thread, &timer) == 0);
  const itimerspec often = {{0, 50'000}, {0, 50'000}}, never = {};  // ns
  dinomaly_result* result = nullptr;
  timer_settime(timer, 0, &often, nullptr);
  CHECK(dinomaly_predict_file(detector, project.images[0].c_str(), &result) == DINOMALY_OK);
  timer_settime(timer, 0, &never, nullptr);
  timer_delete(timer);
  sigaction(SIGALRM, &before, nullptr);
  CHECK(signals_handled >= 1);
  CHECK(signals_handled <= 10);  // one for all that came in the call; a few before and after it
  dinomaly_result_free(result);
  dinomaly_free(detector);
}

TEST_CASE("C API: the library shows the functions of its header and nothing else") {
  const TemporaryFolder folder;
  const std::string out = (folder / "symbols").string();
  REQUIRE(std::system(("nm -D --defined-only " C_LIBRARY " >" + out).c_str()) == 0);
  const std::string header = read_file(fs::path(DINOMALY_SOURCE_DIR) / "include/dinomaly.h", 1 << 20);
  size_t functions = 0;
  for (const std::string& line : lines_in(read_file(out, 1 << 20))) {
    std::string name = line.substr(line.find_last_of(' ') + 1);
    name = name.substr(0, name.find('@'));
    if (name == "DINOMALY_0") continue;
    CHECK_MESSAGE(name.starts_with("dinomaly_"), name);
    CHECK_MESSAGE(contains(header, " " + name + "("), name);
    ++functions;
  }
  size_t declared = 0;
  for (const std::string& line : lines_in(header)) declared += line.starts_with("DINOMALY_API ");
  CHECK(functions == declared);
}

TEST_CASE("C API: the example in C99 says what the program says") {
  const Project project;
  const std::string out = (project.folder / "c.out").string(), error = (project.folder / "c.error").string();
  std::string images;
  for (const std::string& image : project.images) images += " " + image;
  const std::string program = std::string(DINOMALY_BINARY_DIR) + "/bin/predict_c ";
  REQUIRE(std::system((program + project.model + images + " >" + out).c_str()) == 0);
  const std::vector<std::string> lines = lines_in(read_file(out, 1 << 20));
  const Outcome outcome = run_dinomaly(project.folder, "predict " + project.model + images);
  const std::vector<std::string> said = lines_in(outcome.out);
  REQUIRE(lines.size() == said.size());
  for (size_t i = 0; i < lines.size(); ++i) {  // decision, score and path; then each says regions its own way
    const size_t end = lines[i].find(".png");
    CHECK(lines[i].substr(0, end) == said[i].substr(0, end));
  }
  const int status = std::system((program + project.model + " /nowhere.png 2>" + error).c_str());
  CHECK(WEXITSTATUS(status) == 2);
  CHECK(one_line_with(lines_in(read_file(error, 1 << 20)).at(0), "predict_c: /nowhere.png"));
}
