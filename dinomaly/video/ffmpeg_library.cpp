#include "dinomaly/video/ffmpeg_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// The version that this program was compiled with: another one's structures differ.
std::string library_name(const char* name, int version) { return fmt::format("lib{}.so.{}", name, version); }

class Library {
 public:
  Library(const char* name, int version)
      : name_(library_name(name, version)), handle_(dlopen(name_.c_str(), RTLD_NOW)) {
    check_input(handle_ != nullptr, "video: {} is not here; install FFmpeg's libraries (Debian: lib{}{})",
                name_, name, version);
  }
  // Never closed: FFmpeg's threads and tables may outlive every video.
  template <class Function>
  void find(Function& function, const char* symbol) const {
    function = reinterpret_cast<Function>(dlsym(handle_, symbol));
    check_input(function != nullptr,
                "video: {} has no {}; it is not the FFmpeg that this program was built with", name_, symbol);
  }
  template <class Function>
  void find_if_there(Function& function, const char* symbol) const {
    function = reinterpret_cast<Function>(dlsym(handle_, symbol));
  }

 private:
  std::string name_;
  void* handle_;
};

void find_avformat(Ffmpeg& f) {
  const Library library("avformat", LIBAVFORMAT_VERSION_MAJOR);
  library.find(f.avformat_alloc_context, "avformat_alloc_context");
  library.find(f.avformat_open_input, "avformat_open_input");
  library.find(f.avformat_close_input, "avformat_close_input");
  library.find(f.avformat_free_context, "avformat_free_context");
  library.find(f.avformat_find_stream_info, "avformat_find_stream_info");
  library.find(f.avformat_network_init, "avformat_network_init");
  library.find(f.av_find_input_format, "av_find_input_format");
  library.find(f.av_find_best_stream, "av_find_best_stream");
  library.find(f.av_guess_frame_rate, "av_guess_frame_rate");
  library.find(f.av_read_frame, "av_read_frame");
  library.find(f.avformat_alloc_output_context2, "avformat_alloc_output_context2");
  library.find(f.avformat_new_stream, "avformat_new_stream");
  library.find(f.avformat_write_header, "avformat_write_header");
  library.find(f.av_interleaved_write_frame, "av_interleaved_write_frame");
  library.find(f.av_write_trailer, "av_write_trailer");
  library.find(f.avio_open, "avio_open");
  library.find(f.avio_closep, "avio_closep");
  library.find_if_there(f.av_format_inject_global_side_data, "av_format_inject_global_side_data");
}

void find_avcodec(Ffmpeg& f) {
  const Library library("avcodec", LIBAVCODEC_VERSION_MAJOR);
  library.find(f.avcodec_find_decoder, "avcodec_find_decoder");
  library.find(f.avcodec_find_encoder, "avcodec_find_encoder");
  library.find(f.avcodec_find_encoder_by_name, "avcodec_find_encoder_by_name");
  library.find(f.avcodec_alloc_context3, "avcodec_alloc_context3");
  library.find(f.avcodec_free_context, "avcodec_free_context");
  library.find(f.avcodec_parameters_to_context, "avcodec_parameters_to_context");
  library.find(f.avcodec_parameters_from_context, "avcodec_parameters_from_context");
  library.find(f.avcodec_open2, "avcodec_open2");
  library.find(f.avcodec_send_packet, "avcodec_send_packet");
  library.find(f.avcodec_receive_frame, "avcodec_receive_frame");
  library.find(f.avcodec_send_frame, "avcodec_send_frame");
  library.find(f.avcodec_receive_packet, "avcodec_receive_packet");
  library.find(f.avcodec_flush_buffers, "avcodec_flush_buffers");
  library.find(f.av_packet_alloc, "av_packet_alloc");
  library.find(f.av_packet_free, "av_packet_free");
  library.find(f.av_packet_unref, "av_packet_unref");
  library.find(f.av_packet_rescale_ts, "av_packet_rescale_ts");
}

void find_avutil(Ffmpeg& f) {
  const Library library("avutil", LIBAVUTIL_VERSION_MAJOR);
  library.find(f.av_frame_alloc, "av_frame_alloc");
  library.find(f.av_frame_free, "av_frame_free");
  library.find(f.av_frame_unref, "av_frame_unref");
  library.find(f.av_frame_get_buffer, "av_frame_get_buffer");
  library.find(f.av_frame_make_writable, "av_frame_make_writable");
  library.find(f.av_frame_get_side_data, "av_frame_get_side_data");
  library.find(f.av_display_rotation_get, "av_display_rotation_get");
  library.find(f.av_dict_set, "av_dict_set");
  library.find(f.av_dict_free, "av_dict_free");
  library.find(f.av_opt_set, "av_opt_set");
  library.find(f.av_strerror, "av_strerror");
  library.find(f.av_log_set_level, "av_log_set_level");
}

void find_swscale(Ffmpeg& f) {
  const Library library("swscale", LIBSWSCALE_VERSION_MAJOR);
  library.find(f.sws_getCachedContext, "sws_getCachedContext");
  library.find(f.sws_scale, "sws_scale");
  library.find(f.sws_freeContext, "sws_freeContext");
}

Ffmpeg load() {
  Ffmpeg found{};
  find_avutil(found);
  find_avcodec(found);
  find_swscale(found);
  find_avformat(found);
  found.av_log_set_level(AV_LOG_QUIET);  // what is wrong is said by our own messages
  found.avformat_network_init();
  return found;
}

}  // namespace

std::string Ffmpeg::error_text(int error) const {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return text;
}

const Ffmpeg& ffmpeg() {
  static const Ffmpeg functions = load();
  return functions;
}

void add_ffmpeg_devices() {
  ffmpeg();
  static const bool added = [] {
    const Library devices("avdevice",
                          LIBAVFORMAT_VERSION_MAJOR);  // the two have had the same number since FFmpeg 4
    void (*add)() = nullptr;
    devices.find(add, "avdevice_register_all");
    add();
    return true;
  }();
  static_cast<void>(added);
}

}  // namespace dinomaly
