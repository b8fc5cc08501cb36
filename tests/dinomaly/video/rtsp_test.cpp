// Cameras as they are: a server of RTSP, which is killed and comes back.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/video/newest_frame.h"
#include "dinomaly/video/video_source.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

constexpr int picture_count = 12;

Image picture(int number) {
  Image image(64, 48, 3);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < 3 * image.width; ++x)
      image.row(y)[x] = static_cast<uint8_t>(x / 3 < 4 * number ? 220 : 20 + 10 * number);
  }
  return image;
}

// FOLDER/pictures/f000.jpg, ..., at an address of RTSP, by rtsp_server.py.
class RtspServer {
 public:
  explicit RtspServer(const TemporaryFolder& folder) : pictures_((folder / "pictures").string()) {
    for (int i = 0; i < picture_count; ++i)
      save_png(folder / fmt::format("pictures/f{:03}.png", i), picture(i));
  }
  ~RtspServer() { stop(); }
  RtspServer(const RtspServer&) = delete;
  RtspServer& operator=(const RtspServer&) = delete;

  // False where there is no such server. Again on the same port.
  bool start() {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const std::string script = DINOMALY_SOURCE_DIR "/tests/dinomaly/video/rtsp_server.py",
                      port = std::to_string(port_);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      // The distribution's: GStreamer's bindings belong to it.
      execl("/usr/bin/python3", "python3", script.c_str(), pictures_.c_str(), port.c_str(), nullptr);
      _exit(77);
    }
    close(ends[1]);
    std::string text;
    char byte = 0;
    while (read(ends[0], &byte, 1) == 1 && byte != '\n') text += byte;
    close(ends[0]);
    if (!text.empty()) port_ = std::stoi(text);
    if (text.empty()) stop();
    return !text.empty();
  }
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string address(const std::string& place) const {
    return fmt::format("rtsp://127.0.0.1:{}/{}", port_, place);
  }

 private:
  std::string pictures_;
  int port_ = 0;
  pid_t pid_ = -1;
};

bool goes_on() { return false; }  // asked whether it has ended

// Of a case that needs one; null, and the case is skipped, without GStreamer or FFmpeg.
std::unique_ptr<RtspServer> rtsp_server(const TemporaryFolder& folder) {
  auto server = std::make_unique<RtspServer>(folder);
  if (!server->start()) {
    skip(
        "no server of RTSP: python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and "
        "gstreamer1.0-plugins-bad have one");
    return nullptr;
  }
  try {
    VideoSource((folder / "pictures/f%03d.png").string(), goes_on);
  } catch (const InputError& error) {
    skip(error.what());
    return nullptr;
  }
  return server;
}

std::vector<std::vector<uint8_t>> pixels_of(VideoSource& source) {
  std::vector<std::vector<uint8_t>> all;
  while (const auto frame = source.next()) all.push_back(frame->rgb.pixels);
  return all;
}

}  // namespace

TEST_CASE("rtsp: what is not there is one line with the address, and no password in it") {
  const TemporaryFolder folder;
  const auto server = rtsp_server(folder);
  if (!server) return;
  std::string address = server->address("elsewhere");
  CHECK(contains(input_error([&] { VideoSource source(address, goes_on); }), "404 Not Found"));
  address.insert(address.find("127"), "user:secret@");
  const std::string message = input_error([&] { VideoSource source(address, goes_on); });
  CHECK(one_line_with(message, "127.0.0.1"));
  CHECK_FALSE(contains(message, "secret"));
  server->stop();
  CHECK(contains(input_error([&] { VideoSource source(server->address("live"), goes_on); }), "refused"));
}

TEST_CASE("rtsp: a camera's frames are its pictures, and go on when it is back") {
  const TemporaryFolder folder;
  const auto server = rtsp_server(folder);
  if (!server) return;
  VideoSource sequence((folder / "pictures/f%03d.jpg").string(), goes_on);
  const auto pictures = pixels_of(sequence);
  const std::string address = server->address("live");
  auto source = std::make_unique<VideoSource>(address, goes_on);
  CHECK(source->live());
  std::atomic<int> lost = 0, back = 0;
  NewestFrame frames(std::move(source), address, goes_on, {.say = [&](const std::string& line) {
                       lost += contains(line, "connecting again");
                       back += contains(line, "connected again");
                     }});
  int64_t last = -1;
  double seconds = -1;
  std::set<ptrdiff_t> seen;
  const auto take = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto frame = frames.next();
      REQUIRE(frame);
      CHECK(frame->number > last);
      CHECK(frame->seconds > seconds);
      last = frame->number, seconds = frame->seconds;
      const auto found = std::find(pictures.begin(), pictures.end(), frame->rgb.pixels);
      CHECK(found != pictures.end());
      seen.insert(found - pictures.begin());
    }
  };
  take(picture_count + 3);
  CHECK(seen.size() >= picture_count / 2);
  server->stop();
  CHECK(wait_until([&] { return lost == 1; }));
  REQUIRE(server->start());
  take(3);
  CHECK(wait_until([&] { return back == 1; }));
}

TEST_CASE("predict: a camera's verdicts are those of its pictures, until it is stopped") {
  const TemporaryFolder folder;
  const auto server = rtsp_server(folder);
  if (!server) return;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), pictures = (folder / "pictures/f%03d.jpg").string();
  std::set<double> scores;
  const Outcome expected =
      run_dinomaly(folder, "predict " + model + " '" + pictures + "' --json --threshold 0.1");
  for (const auto& line : json_lines_of(expected.out)) scores.insert(line.at("score").get<double>());
  REQUIRE(scores.size() == picture_count);
  Child child(folder, fmt::format("predict {} {} --json --threshold 0.1 --out {}", model,
                                  server->address("live"), (folder / "out").string()));
  const auto lines = [&] {
    const std::string text = child.has_output() ? child.out() : "";
    return text.substr(0, text.rfind('\n') + 1);
  };
  CHECK(wait_until([&] { return std::ranges::count(lines(), '\n') >= 5; }));
  server->stop();
  CHECK(wait_until([&] { return contains(child.error(), "connecting again"); }));
  REQUIRE(server->start());
  const auto before = std::ranges::count(lines(), '\n');
  CHECK(wait_until([&] { return std::ranges::count(lines(), '\n') >= before + 3; }));
  CHECK(contains(child.error(), "connected again"));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 128 + SIGTERM);
  int64_t last = -1;
  for (const auto& line : json_lines_of(lines())) {
    CHECK(scores.contains(line.at("score").get<double>()));
    CHECK(line.at("frame") > last);
    CHECK(contains(line.at("time").get<std::string>(), "T"));
    last = line.at("frame");
  }
  VideoSource overlays((folder / "out/live_overlay.mp4").string(), goes_on);
  CHECK(overlays.next());
}
