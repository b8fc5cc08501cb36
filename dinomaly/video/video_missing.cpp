// In place of video_source.cpp and video_writer.cpp where the program is built without FFmpeg.
#include "dinomaly/base/framework.h"
#include "dinomaly/base/shown_address.h"
#include "dinomaly/video/video_name.h"
#include "dinomaly/video/video_source.h"
#include "dinomaly/video/video_writer.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

[[noreturn]] void fail_without_ffmpeg(const std::string& name) {
  fail_input(
      "{}: this program was built without FFmpeg and reads no videos (Debian: libavformat-dev, "
      "libswscale-dev)",
      name);
}

}  // namespace

struct VideoSource::State {};
VideoSource::VideoSource(const std::string& name, Ended, double) { fail_without_ffmpeg(shown_address(name)); }
VideoSource::~VideoSource() = default;
std::optional<VideoFrame> VideoSource::next(int64_t) { return std::nullopt; }
bool VideoSource::live() const { return false; }
double VideoSource::frame_rate() const { return 0; }
int64_t VideoSource::frame_count() const { return 0; }
int64_t VideoSource::undecoded() const { return 0; }

struct VideoWriter::State {};
VideoWriter::VideoWriter(std::filesystem::path path, double) { fail_without_ffmpeg(path.string()); }
VideoWriter::~VideoWriter() = default;
void VideoWriter::add(const Image&, double) {}
void VideoWriter::finish() {}

}  // namespace dinomaly
