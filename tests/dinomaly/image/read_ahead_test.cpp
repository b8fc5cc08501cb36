// Images decoded ahead by a thread. The suite "threads" is what scripts/test.sh runs under ThreadSanitizer.
#include "dinomaly/image/read_ahead.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

// Image i is grey of value 10 i.
std::vector<std::filesystem::path> grey_images(const TemporaryFolder& folder, int count) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < count; ++i) {
    Image image(8, 6, 3);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<uint8_t>(10 * i));
    paths.push_back(folder / fmt::format("{}.png", i));
    save_png(paths.back(), image);
  }
  return paths;
}

std::vector<Picture> pictures(const std::vector<std::filesystem::path>& paths) {
  return {paths.begin(), paths.end()};
}

Tensor first_value(const Image& rgb) { return Tensor::full({1, 1}, rgb.pixels[0]); }

std::string first_error(const std::vector<InputImage>& images) {
  return input_error([&] { check_readable(images); });
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("read-ahead: batches in order, the last one smaller, and none after it") {
  const TemporaryFolder folder;
  ReadAhead images(in_order(pictures(grey_images(folder, 7))), first_value,
                   {.most_ahead = 1, .keep = no_pixels});
  int taken = 0;
  for (const size_t size : {3u, 3u, 1u}) {
    const std::vector<InputImage> batch = images.next_batch(3);
    CHECK(batch.size() == size);
    CHECK(first_error(batch) == "");
    for (const InputImage& image : batch) {
      CHECK(image.inputs.item() == 10 * taken++);
      CHECK((image.width == 8 && image.height == 6));
      CHECK(image.rgb.pixels.empty());
    }
  }
  CHECK(images.next_batch(3).empty());
}

TEST_CASE(
    "read-ahead: a damaged image is reported by its own batch, and the reader may be left at any time") {
  const TemporaryFolder folder;
  const std::vector<std::filesystem::path> paths = grey_images(folder, 6);
  write_file(paths[3], "no image");
  ReadAhead images(in_order(pictures(paths)), first_value);
  CHECK(first_error(images.next_batch(2)) == "");
  CHECK(one_line_with(first_error(images.next_batch(2)), "3.png"));
  for (int taken = 0; taken < 3; ++taken) {
    ReadAhead abandoned(in_order({paths[0], paths[1], paths[2]}), first_value, {.most_ahead = 1});
    for (int i = 0; i < taken; ++i) abandoned.next_batch(1);
  }
  CHECK(ReadAhead(in_order({}), first_value).next_batch(2).empty());
}

TEST_CASE("read-ahead: what is kept of an image may be another one, made once") {
  const TemporaryFolder folder;
  ReadAhead images(in_order(pictures(grey_images(folder, 2))), first_value,
                   {.keep = [](const Image& rgb) { return Image(1, 1, rgb.channels); }});
  for (const InputImage& image : images.next_batch(2)) {
    CHECK(image.rgb == Image(1, 1, 3));
    CHECK(image.width == 8);
  }
}

TEST_CASE("read-ahead: order, errors among images, errors of the source, early end") {
  const TemporaryFolder folder;
  Image image(4, 3, 3);
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 9; ++i) {
    image.pixels[0] = static_cast<uint8_t>(i);
    paths.push_back(folder / (std::to_string(i) + ".png"));
    save_png(paths.back(), image);
  }
  write_file(paths[4], "damaged");
  size_t next = 0;
  const auto source = [&](std::stop_token) -> std::optional<std::filesystem::path> {
    return next < paths.size() ? std::optional(paths[next++]) : std::nullopt;
  };
  const auto prepare = [](const Image& rgb) { return Tensor::full({1, 1}, rgb.pixels[0]); };
  {
    ReadAhead stream(source, prepare, {.most_ahead = 2});
    int taken = 0;
    for (auto images = stream.next(3); !images.empty(); images = stream.next(3)) {
      CHECK(images.size() <= 3);
      for (const InputImage& image : images) {
        CHECK(image.path == paths[static_cast<size_t>(taken)]);
        if (taken == 4) {
          CHECK(one_line_with(image.error, "4.png"));
        } else {
          CHECK(image.error.empty());
          CHECK(image.inputs.item() == taken);
        }
        ++taken;
      }
    }
    CHECK(taken == 9);
    CHECK(stream.next(3).empty());
  }
  next = 0;
  { ReadAhead abandoned(source, prepare, {.most_ahead = 2}); }  // ends although nobody takes the images
  ReadAhead failing(
      [&](std::stop_token) -> std::optional<std::filesystem::path> { fail_input("the list ends badly"); },
      prepare);
  CHECK(input_error([&] { failing.next(1); }) == "the list ends badly");
}

TEST_CASE("read-ahead: several readers work at the same time, and their images come in order") {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> paths = grey_images(folder, 20);
  write_file(paths[4], "damaged");
  constexpr int readers = 3;
  std::mutex mutex;
  std::condition_variable changed;
  int inside = 0;
  const auto prepare = [&](const Image& rgb) {
    std::unique_lock lock(mutex);
    ++inside;
    changed.notify_all();
    // The first three wait for each other, and then the earliest of them is the last to end.
    CHECK(changed.wait_for(lock, std::chrono::seconds(20), [&] { return inside >= readers; }));
    lock.unlock();
    if (rgb.pixels[0] == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return first_value(rgb);
  };
  ReadAhead images(in_order(pictures(paths)), prepare, {.most_ahead = 4, .readers = readers});
  size_t taken = 0;
  for (auto batch = images.next_batch(6); !batch.empty(); batch = images.next_batch(6)) {
    CHECK(batch.size() == std::min<size_t>(6, paths.size() - taken));
    for (const InputImage& image : batch) {
      CHECK(image.path == paths[taken]);
      CHECK(image.error.empty() == (taken != 4));
      if (taken != 4) CHECK(image.inputs.item() == 10 * static_cast<int>(taken));
      ++taken;
    }
  }
  CHECK(taken == paths.size());
  CHECK(images.next(1).empty());
}

TEST_CASE(
    "read-ahead: what fails in one of several readers comes after the images before it, again and again") {
  const TemporaryFolder folder;
  const auto prepare = [](const Image& rgb) {
    if (rgb.pixels[0] == 50) throw std::runtime_error("the sixth");
    return first_value(rgb);
  };
  ReadAhead images(in_order(pictures(grey_images(folder, 20))), prepare, {.most_ahead = 8, .readers = 3});
  CHECK(images.next_batch(5).size() == 5);
  for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH(images.next_batch(5), "the sixth");
  ReadAhead others(in_order(pictures(grey_images(folder, 20))), prepare, {.most_ahead = 8, .readers = 3});
  CHECK(others.next_batch(16).size() == 5);
  CHECK_THROWS_WITH(others.next(1), "the sixth");
  const ReadAhead abandoned(in_order(pictures(grey_images(folder, 20))), prepare,
                            {.most_ahead = 3, .readers = 3});
}

TEST_SUITE_END();

}  // namespace dinomaly
