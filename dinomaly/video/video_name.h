// What a video is called on the command line.
#pragma once

#include <string>

namespace dinomaly {

struct VideoName {
  enum class Kind { file, sequence, network, camera };
  Kind kind = Kind::file;
  std::string scheme;   // of a network's: "rtsp"
  std::string address;  // as FFmpeg takes it
  std::string shown;    // shown_address()
};

// Whether it is a video and no image: an address such as rtsp://..., a camera (v4l2:/dev/video0), a sequence of images
// (frame%04d.png), or a file that no reader of images knows and that is named as videos are.
bool is_video(const std::string& name);

// Throws InputError for an address of another kind (ftp://...).
VideoName parse_video_name(const std::string& name);

}  // namespace dinomaly
