// Videos: what is written is read again, damage is an error, and a stream that breaks off is connected again.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/video/newest_frame.h"
#include "dinomaly/video/video_source.h"
#include "dinomaly/video/video_writer.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/download/file_server.h"

using namespace dinomaly;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

bool never() { return false; }

// Left half of one brightness, right half of another.
Image halves(uint8_t left, uint8_t right, int64_t width = 64, int64_t height = 48) {
  Image image(width, height, 3);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < 3 * width; ++x) image.row(y)[x] = x < 3 * (width / 2) ? left : right;
  }
  return image;
}

bool is_near(const Image& image, int64_t x, int64_t y, int value) {
  return std::abs(image.at(x, y)[0] - value) <= 6;
}

// Whether videos can be written here; otherwise the case is skipped.
bool has_video() {
  const TemporaryFolder folder;
  try {
    VideoWriter writer(folder / "probe.mp4", 25);
    writer.add(Image(16, 16, 3), 0);
    return true;
  } catch (const InputError& error) {
    skip(error.what());
    return false;
  }
}

// `count` frames at 10 a second, each brighter than the one before.
void write_steps(const fs::path& path, int count) {
  VideoWriter writer(path, 10);
  for (int i = 0; i < count; ++i) writer.add(halves(static_cast<uint8_t>(20 + 10 * i), 200), 0.1 * i);
  CHECK_FALSE(fs::exists(path));  // its name comes when it is whole
  writer.finish();
}

std::string stream_of(int frames) {
  std::string body;
  for (int i = 0; i < frames; ++i) {
    const std::string jpeg = encode_jpeg(halves(static_cast<uint8_t>(20 + 10 * i), 200), 95);
    body += "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(jpeg.size()) +
            "\r\n\r\n" + jpeg + "\r\n";
  }
  return body;
}

const char* const stream_type = "Content-Type: multipart/x-mixed-replace;boundary=frame\r\n";

}  // namespace

TEST_CASE("video: frames come back with their pixels, numbers and times") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  const fs::path path = folder / "steps.mp4";
  write_steps(path, 9);
  VideoSource source(path.string(), never);
  CHECK_FALSE(source.live());
  CHECK(source.frame_rate() == doctest::Approx(10).epsilon(0.02));
  int count = 0;
  while (const auto frame = source.next()) {
    CHECK(frame->number == count);
    CHECK(frame->seconds == doctest::Approx(0.1 * count).epsilon(0.001));
    CHECK((frame->rgb.width == 64 && frame->rgb.height == 48 && frame->rgb.channels == 3));
    CHECK(is_near(frame->rgb, 5, 5, 20 + 10 * count));
    CHECK(is_near(frame->rgb, 60, 40, 200));
    ++count;
  }
  CHECK(count == 9);
  CHECK(source.undecoded() == 0);

  VideoSource some(path.string(), never);
  std::vector<int64_t> numbers;
  while (const auto frame = some.next(4)) numbers.push_back(frame->number);
  CHECK(numbers == std::vector<int64_t>{0, 4, 8});
}

TEST_CASE("video: an odd size loses its last row and column, and one frame is a video") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  VideoWriter writer(folder / "odd.mp4", 5);
  writer.add(halves(100, 100, 33, 21), 3);
  writer.finish();
  const auto frame = VideoSource((folder / "odd.mp4").string(), never).next();
  REQUIRE(frame);
  CHECK((frame->rgb.width == 32 && frame->rgb.height == 20));
  CHECK(frame->seconds == 0);
}

TEST_CASE("video: an unfinished file leaves nothing, and one that cannot be written is named") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  {
    VideoWriter writer(folder / "a.mp4", 5);
    writer.add(Image(16, 16, 3), 0);
  }
  CHECK(fs::is_empty(folder.path()));
  VideoWriter writer(folder / "no/folder.mp4", 5);
  CHECK_THROWS_WITH_AS(writer.add(Image(16, 16, 3), 0), doctest::Contains("no/folder.mp4"), InputError);
}

TEST_CASE("video: garbage, a playlist of other files and a video cut short are errors") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  const auto open = [&](const char* name) { VideoSource source((folder / name).string(), never); };
  write_file(folder / "noise.mp4", std::string(5000, 'x'));
  CHECK_THROWS_WITH_AS(open("noise.mp4"), doctest::Contains("noise.mp4: cannot be opened"), InputError);
  CHECK_THROWS_WITH_AS(open("none.mp4"), doctest::Contains("No such file"), InputError);
  write_steps(folder / "steps.mp4", 9);
  write_file(folder / "list.ts",
             "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n");
  CHECK_THROWS_AS(open("list.ts"), InputError);
  const std::string whole = read_file(folder / "steps.mp4", 1 << 20);
  write_file(folder / "cut.mp4", whole.substr(0, whole.size() / 3));
  int frames = 0;
  try {
    VideoSource source((folder / "cut.mp4").string(), never);
    while (source.next()) ++frames;
    CHECK(frames < 9);
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("cut.mp4") != std::string::npos);
  }
}

TEST_CASE("video: a sequence of images is one") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  for (int i = 0; i < 3; ++i)
    save_png(folder / fmt::format("f{:03}.png", i), halves(static_cast<uint8_t>(40 * i), 9));
  VideoSource source((folder / "f%03d.png").string(), never);
  for (int i = 0; i < 3; ++i) {
    const auto frame = source.next();
    REQUIRE(frame);
    CHECK(is_near(frame->rgb, 3, 3, 40 * i));
  }
  CHECK_FALSE(source.next());
}

TEST_SUITE("threads") {
  TEST_CASE("video: of a stream the newest frame is given, and those that came before are counted") {
    if (!has_video()) return;
    FileServer server([](const Request&, int number) {
      if (number > 0) return Response{.status = "503 Service Unavailable"};
      return Response{.headers = stream_type, .body = stream_of(12)};
    });
    const std::string address = server.address("stream");
    auto source = std::make_unique<VideoSource>(address, never);
    CHECK(source->live());
    NewestFrame frames(std::move(source), address, never, {.give_up = 0.2});
    int64_t taken = 0, last = -1;
    std::string why;
    try {
      while (const auto frame = frames.next()) {
        CHECK(frame->number > last);
        last = frame->number;
        ++taken;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    } catch (const InputError& error) {
      why = error.what();
    }
    CHECK(why.find("the stream has ended") != std::string::npos);
    CHECK(last == 11);  // the newest of all
    CHECK(taken + frames.dropped() == 12);
  }

  TEST_CASE("video: a lost stream is connected again, and numbers and times go on") {
    if (!has_video()) return;
    FileServer server([](const Request&, int number) {
      if (number == 1) return Response{.status = "503 Service Unavailable"};
      return Response{.headers = stream_type, .body = stream_of(number == 0 ? 3 : 5)};
    });
    std::atomic<bool> over = false;
    const std::string address = server.address("stream");
    std::vector<std::string> said;
    std::mutex mutex;
    NewestFrame frames(std::make_unique<VideoSource>(address, never), address, [&] { return over.load(); },
                       {.say = [&](const std::string& line) {
                         const std::lock_guard lock(mutex);
                         said.push_back(line);
                       }});
    int64_t last = -1;
    double seconds = -1;
    while (last < 7) {  // 3 frames, then 5
      const auto frame = frames.next();
      REQUIRE(frame);
      CHECK(frame->number > last);
      CHECK(frame->seconds >= seconds);
      last = frame->number;
      seconds = frame->seconds;
    }
    over = true;
    CHECK_FALSE(frames.next());
    const std::lock_guard lock(mutex);
    REQUIRE(said.size() >= 2);
    CHECK(said[0].find("connecting again") != std::string::npos);
    CHECK(said[1].find("connected again") != std::string::npos);
  }
}

TEST_CASE("predict: a video's frames are judged as images of the same pixels are") {
  if (!has_video()) return;
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), video = (folder / "steps.mp4").string();
  write_steps(video, 5);
  VideoSource source(video, never);
  for (int i = 0; i < 3; ++i) {
    const auto frame = source.next(2);
    REQUIRE(frame);
    save_png(folder / fmt::format("images/{}.png", frame->number), frame->rgb);
  }
  const Outcome images = run_dinomaly(
      folder, "predict " + model + " " + (folder / "images").string() + " --json --threshold 0.1");
  const Outcome frames =
      run_dinomaly(folder, "predict " + model + " " + video + " --every 2 --json --threshold 0.1 --out " +
                               (folder / "out").string());
  CHECK_MESSAGE(frames.status == 0, frames.error);
  const auto expected = json_lines_of(images.out), got = json_lines_of(frames.out);
  REQUIRE(expected.size() == 3);
  REQUIRE(got.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(got[i].at("score") == expected[i].at("score"));
    CHECK(got[i].at("anomalous") == expected[i].at("anomalous"));
    CHECK(got[i].at("frame") == 2 * i);
    CHECK(got[i].at("seconds") == doctest::Approx(0.2 * static_cast<double>(i)));
    CHECK(got[i].at("image") == video + "#" + std::to_string(2 * i));
  }
  VideoSource overlays((folder / "out/steps_overlay.mp4").string(), never);
  int count = 0;
  while (overlays.next()) ++count;
  CHECK(count == 3);
}

TEST_CASE("predict: what fits no video, and what fits videos alone, is refused") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(),
                    image = (folder / "data/wood/test/good/001.png").string();
  const auto refusal = [&](const std::string& flags) {
    const Outcome outcome = run_dinomaly(folder, "predict " + model + " " + flags);
    CHECK(outcome.status == 2);
    return outcome.error;
  };
  CHECK(refusal("rtsp://a/b " + image).find("a video is judged alone") != std::string::npos);
  CHECK(refusal("rtsp://a/b --map-format npy").find("--map-format") != std::string::npos);
  CHECK(refusal("rtsp://a/b --object-by folder").find("--object-by") != std::string::npos);
  CHECK(refusal("rtsp://a/b --move-to x").find("--move-to") != std::string::npos);
  CHECK(refusal(image + " --every 2").find("--every: needs a video") != std::string::npos);
  CHECK(refusal("ftp://a/b").find("ftp") != std::string::npos);
}
