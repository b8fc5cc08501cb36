#include "dinomaly/video/video_source.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/video/ffmpeg_library.h"
#include "dinomaly/video/video_name.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t most_pixels = int64_t{1} << 26;

// What FFmpeg may open for a name: a playlist must not make it read other files.
const char* protocols_for(const VideoName& name) {
  switch (name.kind) {
    case VideoName::Kind::file:
    case VideoName::Kind::sequence:
    case VideoName::Kind::camera:
      return "file";
    case VideoName::Kind::network:
      break;
  }
  if (name.scheme == "http" || name.scheme == "https") return "http,https,tcp,tls,crypto,httpproxy";
  if (name.scheme == "rtsp" || name.scheme == "rtsps") return "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http";
  if (name.scheme == "udp" || name.scheme == "rtp") return "udp,rtp";
  if (name.scheme == "rtmp" || name.scheme == "rtmps") return "rtmp,rtmps,tcp,tls";
  return "srt,udp";
}

// The orientation of EXIF that turns as this display matrix does.
int orientation_of(double counterclockwise_degrees) {
  const int quarters = static_cast<int>(std::lround(-counterclockwise_degrees / 90)) & 3;
  constexpr int orientations[] = {1, 6, 3, 8};
  return orientations[quarters];
}

}  // namespace

struct VideoSource::State {
  VideoName name;
  Ended ended;
  std::chrono::duration<double> patience;
  Clock::time_point deadline;
  FfmpegPointer<AVFormatContext> input;
  FfmpegPointer<AVCodecContext> decoder;
  FfmpegPointer<AVPacket> packet;
  FfmpegPointer<AVFrame> frame;
  FfmpegPointer<SwsContext> scaler;
  int stream = -1;
  bool live = false, flushed = false;
  int64_t number = 0, undecoded = 0;
  std::optional<double> first_seconds;
  double last_seconds = 0;

  AVStream& video() const { return *input->streams[stream]; }

  [[noreturn]] void fail(const char* what, int error) const {
    const bool late = error == AVERROR_EXIT && !ended();
    fail_input(
        "{}: {}: {}", name.shown, what,
        late ? fmt::format("nothing came for {} seconds", patience.count()) : ffmpeg().error_text(error));
  }
  void wait_anew() { deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience); }
  static int is_over(void* state) {
    const auto* self = static_cast<const State*>(state);
    return self->ended() || Clock::now() > self->deadline;
  }

  void open();
  void open_decoder();
  bool decode();
  void read_packet();
  VideoFrame take();
};

void VideoSource::State::open() {
  const Ffmpeg& f = ffmpeg();
  if (name.kind == VideoName::Kind::camera) add_ffmpeg_devices();
  AVFormatContext* context = f.avformat_alloc_context();
  check(context != nullptr, "video: no memory");
  context->interrupt_callback = {is_over, this};
  AVDictionary* options = nullptr;
  f.av_dict_set(&options, "protocol_whitelist", protocols_for(name), 0);
  if (name.scheme.starts_with("rtsp")) f.av_dict_set(&options, "rtsp_transport", "tcp", 0);
  const char* format = name.kind == VideoName::Kind::camera     ? "v4l2"
                       : name.kind == VideoName::Kind::sequence ? "image2"
                                                                : nullptr;
  wait_anew();
  // avformat_open_input() frees the context where it fails.
  const int opened = f.avformat_open_input(
      &context, name.address.c_str(), format == nullptr ? nullptr : f.av_find_input_format(format), &options);
  f.av_dict_free(&options);
  if (opened < 0) fail("cannot be opened", opened);
  input.reset(context);
  if (f.av_format_inject_global_side_data != nullptr) f.av_format_inject_global_side_data(context);
  wait_anew();
  const int found = f.avformat_find_stream_info(context, nullptr);
  if (found < 0) fail("no video was recognised", found);
  stream = f.av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  check_input(stream >= 0, "{}: there is no video in it", name.shown);
  const bool has_end = context->duration != AV_NOPTS_VALUE && context->duration > 0;
  live = name.kind == VideoName::Kind::camera || (name.kind == VideoName::Kind::network && !has_end);
  open_decoder();
}

void VideoSource::State::open_decoder() {
  const Ffmpeg& f = ffmpeg();
  const AVCodecParameters& parameters = *video().codecpar;
  check_input(int64_t{parameters.width} * parameters.height <= most_pixels,
              "{}: {} x {} pixels are more than {}", name.shown, parameters.width, parameters.height,
              most_pixels);
  const AVCodec* codec = f.avcodec_find_decoder(parameters.codec_id);
  check_input(codec != nullptr, "{}: FFmpeg has no decoder for its video", name.shown);
  decoder.reset(f.avcodec_alloc_context3(codec));
  packet.reset(f.av_packet_alloc());
  frame.reset(f.av_frame_alloc());
  check(decoder && packet && frame, "video: no memory");
  const int copied = f.avcodec_parameters_to_context(decoder.get(), &parameters);
  if (copied < 0) fail("its video cannot be decoded", copied);
  decoder->pkt_timebase = video().time_base;
  decoder->max_pixels = most_pixels;
  decoder->thread_count = live ? 1 : 0;  // threads would hold frames back
  if (live) decoder->flags |= AV_CODEC_FLAG_LOW_DELAY;
  const int opened = f.avcodec_open2(decoder.get(), codec, nullptr);
  if (opened < 0) fail("its video cannot be decoded", opened);
}

// The next packet of the video into the decoder; at the end, the order to hand out what it holds.
void VideoSource::State::read_packet() {
  const Ffmpeg& f = ffmpeg();
  while (true) {
    wait_anew();
    const int read = f.av_read_frame(input.get(), packet.get());
    if (read == AVERROR(EAGAIN)) continue;
    if (read == AVERROR_EOF) {
      check_input(!live, "{}: the stream has ended", name.shown);
      f.avcodec_send_packet(decoder.get(), nullptr);
      flushed = true;
      return;
    }
    if (read < 0) fail("the video breaks off", read);
    const bool wanted = packet->stream_index == stream;
    const int sent = wanted ? f.avcodec_send_packet(decoder.get(), packet.get()) : 0;
    f.av_packet_unref(packet.get());
    if (!wanted) continue;
    if (sent < 0 && sent != AVERROR(EAGAIN)) ++undecoded;
    if (sent >= 0) return;
  }
}

// The next frame into `frame`; false at the end.
bool VideoSource::State::decode() {
  const Ffmpeg& f = ffmpeg();
  while (true) {
    const int received = f.avcodec_receive_frame(decoder.get(), frame.get());
    if (received >= 0) return true;
    if (received == AVERROR_EOF || (flushed && received == AVERROR(EAGAIN))) return false;
    if (received != AVERROR(EAGAIN))
      ++undecoded;
    else
      read_packet();
  }
}

VideoFrame VideoSource::State::take() {
  const Ffmpeg& f = ffmpeg();
  const int width = frame->width, height = frame->height;
  check_input(width > 0 && height > 0 && int64_t{width} * height <= most_pixels,
              "{}: a frame of {} x {} pixels", name.shown, width, height);
  VideoFrame result;
  result.rgb = Image(width, height, 3);
  scaler.reset(f.sws_getCachedContext(
      scaler.release(), width, height, static_cast<AVPixelFormat>(frame->format), width, height,
      AV_PIX_FMT_RGB24, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, nullptr, nullptr, nullptr));
  check_input(scaler != nullptr, "{}: its pixels are of a format that is not read", name.shown);
  uint8_t* planes[] = {result.rgb.pixels.data()};
  const int strides[] = {3 * width};
  f.sws_scale(scaler.get(), frame->data, frame->linesize, 0, height, planes, strides);
  const AVFrameSideData* matrix = f.av_frame_get_side_data(frame.get(), AV_FRAME_DATA_DISPLAYMATRIX);
  if (matrix != nullptr && matrix->size >= 9 * sizeof(int32_t)) {
    const double degrees = f.av_display_rotation_get(reinterpret_cast<const int32_t*>(matrix->data));
    if (std::isfinite(degrees)) result.rgb = turned(std::move(result.rgb), orientation_of(degrees));
  }
  return result;
}

VideoSource::VideoSource(const std::string& name, Ended ended, double patience)
    : state_(std::make_unique<State>()) {
  state_->name = parse_video_name(name);
  state_->ended = std::move(ended);
  state_->patience = std::chrono::duration<double>(patience);
  state_->open();
}

VideoSource::~VideoSource() = default;

std::optional<VideoFrame> VideoSource::next(int64_t every) {
  State& s = *state_;
  while (s.decode()) {
    const int64_t number = s.number++;
    // Frames without a time follow the one before at the video's rate.
    const int64_t stamp = s.frame->best_effort_timestamp;
    const double rate = frame_rate();
    const double at = stamp == AV_NOPTS_VALUE
                          ? s.last_seconds + (number > 0 && rate > 0 ? 1 / rate : 0)
                          : static_cast<double>(stamp) * s.video().time_base.num / s.video().time_base.den;
    s.last_seconds = at;
    if (!s.first_seconds) s.first_seconds = at;
    if (number % every == 0) {
      VideoFrame frame = s.take();
      frame.number = number;
      frame.seconds = at - *s.first_seconds;
      ffmpeg().av_frame_unref(s.frame.get());
      return frame;
    }
    ffmpeg().av_frame_unref(s.frame.get());
  }
  return std::nullopt;
}

bool VideoSource::live() const { return state_->live; }

double VideoSource::frame_rate() const {
  const AVRational rate = ffmpeg().av_guess_frame_rate(state_->input.get(), &state_->video(), nullptr);
  return rate.num > 0 && rate.den > 0 ? static_cast<double>(rate.num) / rate.den : 0;
}

int64_t VideoSource::frame_count() const {
  const AVStream& video = state_->video();
  if (video.nb_frames > 0) return video.nb_frames;
  const int64_t duration = state_->input->duration;
  const bool known = !state_->live && duration != AV_NOPTS_VALUE && duration > 0;
  return known ? std::lround(static_cast<double>(duration) / AV_TIME_BASE * frame_rate()) : 0;
}

int64_t VideoSource::undecoded() const { return state_->undecoded; }

}  // namespace dinomaly
