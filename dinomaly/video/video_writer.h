// A video file of images.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "dinomaly/image/image.h"

namespace dinomaly {

// An MP4 in H.264, or MPEG-4 where FFmpeg has no encoder for that. Its name appears when it is whole, by finish(); an unfinished
// one is removed. It is in fragments: what of a long one is on the disk could be played.
class VideoWriter {
 public:
  // `rate`: frames a second that are expected; each has its own time all the same. Throws InputError naming the file where it
  // cannot be written, or FFmpeg lacks an encoder.
  VideoWriter(std::filesystem::path path, double rate);
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  // RGB; the first one's size is the video's, an odd last row or column is left out, and others are scaled to it. `seconds`
  // since the video's start; one that is not later than the one before comes a moment after it.
  void add(const Image& rgb, double seconds);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dinomaly
