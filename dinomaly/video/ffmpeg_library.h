// FFmpeg's libraries, loaded when the first video is opened. They bring some sixty others along: a program that judges
// images need neither wait for them nor have them installed.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

namespace dinomaly {

// The functions that are used, by the names they have there.
struct Ffmpeg {
  // libavformat
  decltype(&::avformat_alloc_context) avformat_alloc_context;
  decltype(&::avformat_open_input) avformat_open_input;
  decltype(&::avformat_close_input) avformat_close_input;
  decltype(&::avformat_free_context) avformat_free_context;
  decltype(&::avformat_find_stream_info) avformat_find_stream_info;
  decltype(&::avformat_network_init) avformat_network_init;
  decltype(&::av_find_input_format) av_find_input_format;
  decltype(&::av_find_best_stream) av_find_best_stream;
  decltype(&::av_guess_frame_rate) av_guess_frame_rate;
  decltype(&::av_read_frame) av_read_frame;
  decltype(&::avformat_alloc_output_context2) avformat_alloc_output_context2;
  decltype(&::avformat_new_stream) avformat_new_stream;
  decltype(&::avformat_write_header) avformat_write_header;
  decltype(&::av_interleaved_write_frame) av_interleaved_write_frame;
  decltype(&::av_write_trailer) av_write_trailer;
  decltype(&::avio_open) avio_open;
  decltype(&::avio_closep) avio_closep;
  // libavcodec
  decltype(&::avcodec_find_decoder) avcodec_find_decoder;
  decltype(&::avcodec_find_encoder) avcodec_find_encoder;
  decltype(&::avcodec_find_encoder_by_name) avcodec_find_encoder_by_name;
  decltype(&::avcodec_alloc_context3) avcodec_alloc_context3;
  decltype(&::avcodec_free_context) avcodec_free_context;
  decltype(&::avcodec_parameters_to_context) avcodec_parameters_to_context;
  decltype(&::avcodec_parameters_from_context) avcodec_parameters_from_context;
  decltype(&::avcodec_open2) avcodec_open2;
  decltype(&::avcodec_send_packet) avcodec_send_packet;
  decltype(&::avcodec_receive_frame) avcodec_receive_frame;
  decltype(&::avcodec_send_frame) avcodec_send_frame;
  decltype(&::avcodec_receive_packet) avcodec_receive_packet;
  decltype(&::avcodec_flush_buffers) avcodec_flush_buffers;
  decltype(&::av_packet_alloc) av_packet_alloc;
  decltype(&::av_packet_free) av_packet_free;
  decltype(&::av_packet_unref) av_packet_unref;
  decltype(&::av_packet_rescale_ts) av_packet_rescale_ts;
  // libavutil
  decltype(&::av_frame_alloc) av_frame_alloc;
  decltype(&::av_frame_free) av_frame_free;
  decltype(&::av_frame_unref) av_frame_unref;
  decltype(&::av_frame_get_buffer) av_frame_get_buffer;
  decltype(&::av_frame_make_writable) av_frame_make_writable;
  decltype(&::av_frame_get_side_data) av_frame_get_side_data;
  decltype(&::av_display_rotation_get) av_display_rotation_get;
  decltype(&::av_dict_set) av_dict_set;
  decltype(&::av_dict_free) av_dict_free;
  decltype(&::av_opt_set) av_opt_set;
  decltype(&::av_strerror) av_strerror;
  decltype(&::av_log_set_level) av_log_set_level;
  // libswscale
  decltype(&::sws_getCachedContext) sws_getCachedContext;
  decltype(&::sws_scale) sws_scale;
  decltype(&::sws_freeContext) sws_freeContext;

  // Of the decoder's frames: how the picture must be turned. Null where the libraries do so by themselves.
  void (*av_format_inject_global_side_data)(AVFormatContext*) = nullptr;

  std::string error_text(int error) const;
};

// Loads them at the first call. Throws InputError saying which library is missing.
const Ffmpeg& ffmpeg();

// Makes cameras known (v4l2), by libavdevice. Throws InputError where that is not installed.
void add_ffmpeg_devices();

// Frees what FFmpeg has made.
struct FfmpegDelete {
  void operator()(AVFrame* frame) const { ffmpeg().av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { ffmpeg().av_packet_free(&packet); }
  void operator()(AVCodecContext* context) const { ffmpeg().avcodec_free_context(&context); }
  void operator()(AVFormatContext* input) const { ffmpeg().avformat_close_input(&input); }
  void operator()(SwsContext* context) const { ffmpeg().sws_freeContext(context); }
};
template <class T>
using FfmpegPointer = std::unique_ptr<T, FfmpegDelete>;

}  // namespace dinomaly
