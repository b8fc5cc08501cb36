#include "dinomaly/video/video_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/shown_address.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr std::array video_extensions{".mp4",  ".m4v", ".mov",  ".mkv",  ".webm", ".avi", ".mpg",
                                      ".mpeg", ".ts",  ".m2ts", ".wmv",  ".flv",  ".ogv", ".mjpeg",
                                      ".mjpg", ".y4m", ".h264", ".hevc", ".3gp"};
constexpr std::array schemes{"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "rtp", "srt"};
constexpr std::string_view camera = "v4l2:";

std::string in_small_letters(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// "frame%04d.png": one number, with or without a width.
bool is_sequence(const std::string& name) {
  const size_t percent = name.find('%');
  if (percent == std::string::npos || std::filesystem::exists(name)) return false;
  size_t end = percent + 1;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  return end < name.size() && name[end] == 'd' && name.find('%', end) == std::string::npos;
}

}  // namespace

bool is_video(const std::string& name) {
  if (name.find("://") != std::string::npos || name.starts_with(camera) || is_sequence(name)) return true;
  const std::string extension = in_small_letters(std::filesystem::path(name).extension().string());
  const bool named_so =
      std::find(video_extensions.begin(), video_extensions.end(), extension) != video_extensions.end();
  std::error_code ignored;
  return named_so && std::filesystem::is_regular_file(name, ignored) && kind_of(name) == FileKind::other;
}

VideoName parse_video_name(const std::string& name) {
  if (name.starts_with(camera)) return {VideoName::Kind::camera, "", name.substr(camera.size()), name};
  if (const size_t end = name.find("://"); end != std::string::npos) {
    const std::string scheme = in_small_letters(name.substr(0, end));
    check_input(std::find(schemes.begin(), schemes.end(), scheme) != schemes.end(),
                "{}: '{}' is none of the addresses that are watched: rtsp, http, rtmp, udp, rtp, srt",
                shown_address(name), scheme);
    return {VideoName::Kind::network, scheme, name, shown_address(name)};
  }
  // A name that FFmpeg would read as an address ("concat:a|b") is a file here.
  const std::string address = name.starts_with('/') ? name : "./" + name;
  if (is_sequence(name)) return {VideoName::Kind::sequence, "", address, name};
  return {VideoName::Kind::file, "", "file:" + address, name};
}

}  // namespace dinomaly
