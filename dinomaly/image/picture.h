// What one input of a model is read from, where that is not simply a whole image file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "dinomaly/image/image.h"

namespace dinomaly {

// Some columns of a wide picture that shows several views side by side.
struct Strip {
  int64_t x = 0;
  int64_t width = 0;  // 0: all that is right of x
  bool operator==(const Strip&) const = default;
};

struct Picture {
  Picture(std::filesystem::path file) : path(std::move(file)) {}  // NOLINT: a file is a picture
  Picture(std::filesystem::path file, std::optional<Strip> columns) : path(std::move(file)), strip(columns) {}

  std::filesystem::path path;
  std::optional<Strip> strip;                       // none: the whole file
  std::optional<std::filesystem::path> depth = {};  // of the same scene: load_depth() or load_point_cloud()
  std::string fault = {};                           // not empty: why it cannot be read, known beforehand
};

// The image in RGB, for people: of three channels and more the first three, of one or two the first as grey.
Image colours_of(Image image);

// The strip of an image, of any channels. Throws InputError naming `path` where the image is not that wide.
Image cut_strip(const Image& image, const Strip& strip, const std::filesystem::path& path);

// load_image() of the file, and what the picture takes of it. With depth there are six channels: those of the
// image, black where the depth has none, and those of depth_picture(). With a point cloud that is what prepare_scene()
// makes of both, larger if they are no square of a multiple of 100. Throws InputError as the readers of both do, its fault, where
// image and depth differ in size, and with depth where `rules` do not ask for RGB.
Image load_picture(const Picture& picture, const PixelRules& rules = {});

}  // namespace dinomaly
