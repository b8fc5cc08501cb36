// Many images at a time: their order, their bits, errors among them, and how many are in memory. The suite "threads" is what
// scripts/test.sh runs under ThreadSanitizer.
#include "dinomaly/inference/for_each_prediction.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/threads.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

namespace fs = std::filesystem;

// Loops and streams of so many threads while it lives.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

Image speckled(int seed) {
  Image image(70, 60, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>((i * 37 + i / 210 * static_cast<size_t>(11 + seed)) % 251);
  return image;
}

std::vector<fs::path> speckled_images(const TemporaryFolder& folder, int count) {
  std::vector<fs::path> paths;
  for (int i = 0; i < count; ++i) {
    paths.push_back(folder / fmt::format("{:02}.png", i));
    save_png(paths.back(), speckled(i));
  }
  return paths;
}

struct Got {
  fs::path path;
  std::string error = {};
  double score = 0;
  std::vector<float> map = {};
  bool operator==(const Got&) const = default;
};

std::vector<Got> all_predictions(const Predictor& predictor, const std::vector<fs::path>& paths) {
  std::vector<Got> all;
  const NextPicture images = in_order({paths.begin(), paths.end()});
  for_each_prediction(predictor, images, {[&](const InputImage& image, const Prediction& prediction) {
                        all.push_back({image.path, image.error});
                        if (!image.error.empty()) return;
                        all.back().score = prediction.score;
                        all.back().map = prediction.map().to_vector<float>();
                      }});
  return all;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE(
    "streams: images come in order, each with the bits that it has alone, and an error takes its own place") {
  const TemporaryFolder folder;
  std::vector<fs::path> paths = speckled_images(folder, 11);
  write_file(paths[5], "no image");
  const auto model = cropping_model();
  for (const Inspection& inspection :
       {Inspection{}, Inspection{.area = Area::crop}, Inspection{.tiling = {56, 8}}}) {
    const Predictor predictor(*model, inspection);
    std::vector<Got> expected;
    {
      const Threads one(1);
      for (size_t i = 0; i < paths.size(); ++i) {
        if (i == 5) {
          expected.push_back({paths[i]});
          continue;
        }
        const Prediction prediction = predictor.predict(speckled(static_cast<int>(i)));
        expected.push_back({paths[i], "", prediction.score, prediction.map().to_vector<float>()});
      }
    }
    CHECK(expected[0].score != expected[1].score);
    for (const int count : {1, 2, 3, 8}) {
      CAPTURE(count);
      const Threads threads(count);
      std::vector<Got> got = all_predictions(predictor, paths);
      REQUIRE(got.size() == expected.size());
      CHECK(one_line_with(got[5].error, "05.png"));
      got[5].error = "";
      for (size_t i = 0; i < got.size(); ++i) CHECK((got[i] == expected[i]));
    }
  }
}

TEST_CASE("streams: a folder of any size has a few images in memory") {
  const TemporaryFolder folder;
  const std::vector<fs::path> paths = speckled_images(folder, 1);
  const auto model = small_model();
  const Predictor predictor(*model);
  const Threads threads(3);
  std::atomic<int> begun = 0, ended = 0;
  int most = 0;
  const auto source = [&](std::stop_token) -> std::optional<Picture> {
    if (begun == 60) return std::nullopt;
    ++begun;
    return Picture(paths[0]);
  };
  for_each_prediction(predictor, source, {[&](const InputImage&, const Prediction&) {
                        // Slower than the model: what waits is what may wait.
                        std::this_thread::sleep_for(std::chrono::milliseconds(5));
                        most = std::max(most, begun - ended++);
                      }});
  CHECK(ended == 60);
  // Read ahead 6 and 1 being read, 3 taken and not added, 7 under way.
  CHECK(most <= 17);
  CHECK(most >= 4);
}

TEST_CASE("streams: an image that comes alone is handed out before the next one is there") {
  const TemporaryFolder folder;
  const std::vector<fs::path> paths = speckled_images(folder, 4);
  const auto model = small_model();
  const Predictor predictor(*model);
  const Threads threads(4);
  std::mutex mutex;
  std::condition_variable changed;
  size_t next = 0, seen = 0;
  bool in_time = true;
  const auto source = [&](std::stop_token) -> std::optional<Picture> {
    if (next == paths.size()) return std::nullopt;
    std::unique_lock lock(mutex);
    in_time &= changed.wait_for(lock, std::chrono::seconds(60), [&] { return seen == next; });
    return Picture(paths[next++]);
  };
  for_each_prediction(predictor, source, {[&](const InputImage&, const Prediction&) {
                        const std::lock_guard lock(mutex);
                        ++seen;
                        changed.notify_all();
                      }});
  CHECK(in_time);
  CHECK(seen == paths.size());
}

TEST_CASE("streams: an error of the sink ends the loop, one of the source comes after the images before it") {
  const TemporaryFolder folder;
  const std::vector<fs::path> paths = speckled_images(folder, 9);
  const auto model = small_model();
  const Predictor predictor(*model);
  for (const int count : {1, 3}) {
    const Threads threads(count);
    int seen = 0;
    {
      const NextPicture images = in_order({paths.begin(), paths.end()});
      const std::string error = input_error([&] {
        for_each_prediction(predictor, images, {[&](const InputImage&, const Prediction&) {
                              check_input(seen < 4, "the disk is full");
                              ++seen;
                            }});
      });
      CHECK(error == "the disk is full");
      CHECK(seen == 4);
    }
    size_t next = 0;
    seen = 0;
    const auto images = [&](std::stop_token) -> std::optional<Picture> {
      check_input(next < 7, "the list ends early");
      return Picture(paths[next++]);
    };
    const std::string error = input_error([&] {
      for_each_prediction(predictor, images, {[&](const InputImage&, const Prediction&) { ++seen; }});
    });
    CHECK(error == "the list ends early");
    CHECK(seen == 7);
  }
}

TEST_SUITE_END();

}  // namespace dinomaly
