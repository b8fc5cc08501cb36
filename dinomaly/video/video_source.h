// Pictures of a video file, a sequence of images, a network stream or a camera, one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dinomaly/image/image.h"

namespace dinomaly {

struct VideoFrame {
  Image rgb;           // turned as people see it
  int64_t number = 0;  // in the video, from 0
  double seconds = 0;  // since its first frame, by the video's own clock
};

class VideoSource {
 public:
  // Ends what waits for the network, as soon as it says so.
  using Ended = std::function<bool()>;
  // Opens it. `patience`: seconds in which something must come. Throws InputError naming it and what is wrong: no such file,
  // no video in it, a server that does not answer, a password that is refused, FFmpeg's libraries missing.
  VideoSource(const std::string& name, Ended ended, double patience = 10);
  ~VideoSource();
  VideoSource(const VideoSource&) = delete;
  VideoSource& operator=(const VideoSource&) = delete;

  // The next frame; none at the end. Only every `every`-th is turned into an image. Throws InputError where the video breaks
  // off: damaged, or the connection is lost. Frames that cannot be decoded are counted and left out.
  std::optional<VideoFrame> next(int64_t every = 1);

  // Whether it goes on whether or not anybody looks: a camera, a stream without an end.
  bool live() const;
  double frame_rate() const;    // frames a second; 0: not known
  int64_t frame_count() const;  // as the file says, 0: unknown
  int64_t undecoded() const;    // frames left out

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dinomaly
