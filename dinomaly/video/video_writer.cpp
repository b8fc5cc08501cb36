#include "dinomaly/video/video_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/video/ffmpeg_library.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr AVRational clock_rate{1, 90000};

}  // namespace

struct VideoWriter::State {
  struct OutputDelete {
    void operator()(AVFormatContext* output) const {
      if (output->pb != nullptr) ffmpeg().avio_closep(&output->pb);
      ffmpeg().avformat_free_context(output);
    }
  };
  std::filesystem::path path, part;
  double rate;
  std::unique_ptr<AVFormatContext, OutputDelete> output;
  FfmpegPointer<AVCodecContext> encoder;
  FfmpegPointer<AVFrame> frame;
  FfmpegPointer<AVPacket> packet;
  FfmpegPointer<SwsContext> scaler;
  AVStream* stream = nullptr;
  int64_t last = -1;
  bool whole = false;

  void check_written(int error) const {
    check_input(error >= 0, "{}: the video cannot be written: {}", path.string(), ffmpeg().error_text(error));
  }
  void open(int64_t width, int64_t height);
  void open_encoder(int width, int height);
  void encode(const AVFrame* image);
};

void VideoWriter::State::open_encoder(int width, int height) {
  const Ffmpeg& f = ffmpeg();
  const AVCodec* codec = f.avcodec_find_encoder_by_name("libx264");
  const bool h264 = codec != nullptr;
  if (!h264) codec = f.avcodec_find_encoder(AV_CODEC_ID_MPEG4);
  check_input(codec != nullptr, "{}: FFmpeg has no encoder for H.264 or MPEG-4 here", path.string());
  encoder.reset(f.avcodec_alloc_context3(codec));
  check(encoder != nullptr, "video: no memory");
  encoder->width = width;
  encoder->height = height;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = h264 ? clock_rate : AVRational{1, 1000};  // MPEG-4's has 16 bits
  encoder->framerate = {static_cast<int>(std::lround(std::clamp(rate, 1.0, 1000.0) * 1000)), 1000};
  encoder->gop_size = 50;
  encoder->max_b_frames = 0;
  if (h264) {
    f.av_opt_set(encoder->priv_data, "preset", "veryfast", 0);
    f.av_opt_set(encoder->priv_data, "crf", "20", 0);
    encoder->thread_count = 1;  // the processors are for the model
  } else {
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->global_quality = 3 * FF_QP2LAMBDA;
  }
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check_written(f.avcodec_open2(encoder.get(), codec, nullptr));
}

void VideoWriter::State::open(int64_t width, int64_t height) {
  const Ffmpeg& f = ffmpeg();
  check_input(width >= 2 && height >= 2, "{}: {} x {} pixels are too few for a video", path.string(), width,
              height);
  open_encoder(static_cast<int>(width / 2 * 2), static_cast<int>(height / 2 * 2));
  AVFormatContext* context = nullptr;
  check_written(f.avformat_alloc_output_context2(&context, nullptr, "mp4", nullptr));
  output.reset(context);
  stream = f.avformat_new_stream(context, nullptr);
  frame.reset(f.av_frame_alloc());
  packet.reset(f.av_packet_alloc());
  check(stream && frame && packet, "video: no memory");
  stream->time_base = encoder->time_base;
  check_written(f.avcodec_parameters_from_context(stream->codecpar, encoder.get()));
  frame->format = encoder->pix_fmt;
  frame->width = encoder->width;
  frame->height = encoder->height;
  check_written(f.av_frame_get_buffer(frame.get(), 0));
  check_written(f.avio_open(&context->pb, ("file:" + part.string()).c_str(), AVIO_FLAG_WRITE));
  AVDictionary* options = nullptr;
  f.av_dict_set(&options, "movflags", "frag_keyframe+empty_moov+default_base_moof", 0);
  const int begun = f.avformat_write_header(context, &options);
  f.av_dict_free(&options);
  check_written(begun);
}

// Null: what the encoder still holds.
void VideoWriter::State::encode(const AVFrame* image) {
  const Ffmpeg& f = ffmpeg();
  check_written(f.avcodec_send_frame(encoder.get(), image));
  while (true) {
    const int received = f.avcodec_receive_packet(encoder.get(), packet.get());
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return;
    check_written(received);
    f.av_packet_rescale_ts(packet.get(), encoder->time_base, stream->time_base);
    packet->stream_index = stream->index;
    check_written(f.av_interleaved_write_frame(output.get(), packet.get()));
    check_written(output->pb->error);  // a full disk
  }
}

VideoWriter::VideoWriter(std::filesystem::path path, double rate) : state_(std::make_unique<State>()) {
  state_->path = std::move(path);
  state_->part = fmt::format("{}.{}.part", state_->path.string(), getpid());
  state_->rate = rate;
  ffmpeg();
}

VideoWriter::~VideoWriter() {
  if (state_->whole) return;
  state_->output.reset();
  std::error_code ignored;
  std::filesystem::remove(state_->part, ignored);
}

void VideoWriter::add(const Image& rgb, double seconds) {
  const Ffmpeg& f = ffmpeg();
  State& s = *state_;
  if (!s.encoder) s.open(rgb.width, rgb.height);
  s.check_written(f.av_frame_make_writable(s.frame.get()));
  const int width = static_cast<int>(rgb.width / 2 * 2), height = static_cast<int>(rgb.height / 2 * 2);
  s.scaler.reset(f.sws_getCachedContext(s.scaler.release(), width, height, AV_PIX_FMT_RGB24, s.encoder->width,
                                        s.encoder->height, AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr, nullptr,
                                        nullptr));
  check(s.scaler != nullptr, "video: {} x {} pixels cannot be scaled", width, height);
  const uint8_t* planes[] = {rgb.pixels.data()};
  const int strides[] = {static_cast<int>(3 * rgb.width)};
  f.sws_scale(s.scaler.get(), planes, strides, 0, height, s.frame->data, s.frame->linesize);
  const AVRational base = s.encoder->time_base;
  s.last = std::max(s.last + 1, static_cast<int64_t>(std::llround(seconds * base.den / base.num)));
  s.frame->pts = s.last;
  s.encode(s.frame.get());
}

void VideoWriter::finish() {
  State& s = *state_;
  if (!s.encoder || s.whole) return;
  s.encode(nullptr);
  s.check_written(ffmpeg().av_write_trailer(s.output.get()));
  s.output.reset();
  std::error_code error;
  std::filesystem::rename(s.part, s.path, error);
  check_input(!error, "{}: the video cannot be named so: {}", s.path.string(), error.message());
  s.whole = true;
}

}  // namespace dinomaly
