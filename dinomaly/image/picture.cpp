#include "dinomaly/image/picture.h"

#include <algorithm>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/depth_picture.h"
#include "dinomaly/image/point_cloud.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

DepthScene scene_of(Image rgb, const std::filesystem::path& file) {
  if (is_point_cloud(file)) return prepare_scene(load_point_cloud(file), std::move(rgb), file.string());
  DepthScene scene{std::move(rgb), load_depth(file)};
  check_input(scene.depth.width == scene.rgb.width && scene.depth.height == scene.rgb.height,
              "{}: the depth is {} x {}, its image {} x {} pixels", file.string(), scene.depth.width,
              scene.depth.height, scene.rgb.width, scene.rgb.height);
  return scene;
}

Image with_depth(Image image, const std::filesystem::path& file) {
  auto [rgb, depth] = scene_of(std::move(image), file);
  blacken_background(rgb, depth);
  const Image picture = depth_picture(depth);
  Image both(rgb.width, rgb.height, 6);
  for (size_t i = 0; i < rgb.pixels.size(); i += 3) {
    const auto at = static_cast<std::ptrdiff_t>(i);
    std::copy_n(rgb.pixels.begin() + at, 3, both.pixels.begin() + 2 * at);
    std::copy_n(picture.pixels.begin() + at, 3, both.pixels.begin() + 2 * at + 3);
  }
  return both;
}

}  // namespace

Image colours_of(Image image) {
  if (image.channels == 3) return image;
  Image result(image.width, image.height, 3);
  const auto pixels = static_cast<size_t>(image.width * image.height),
             channels = static_cast<size_t>(image.channels);
  const size_t green = channels >= 3 ? 1 : 0, blue = channels >= 3 ? 2 : 0;
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* from = &image.pixels[i * channels];
    uint8_t* to = &result.pixels[i * 3];
    to[0] = from[0], to[1] = from[green], to[2] = from[blue];
  }
  return result;
}

Image cut_strip(const Image& image, const Strip& strip, const std::filesystem::path& path) {
  const int64_t width = strip.width > 0 ? strip.width : image.width - strip.x;
  check_input(width > 0 && strip.x + width <= image.width,
              "{}: the picture is {} wide, and a view of it should begin at {}", path.string(),
              counted(image.width, "pixel"), strip.x);
  Image result(width, image.height, image.channels);
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.at(strip.x, y), width * image.channels, result.row(y));
  return result;
}

Image load_picture(const Picture& picture, const PixelRules& rules) {
  check_input(picture.fault.empty(), "{}", picture.fault);
  check_input(!picture.depth || rules.channels == 3, "{}: images with depth are read with 3 channels, not {}",
              picture.path.string(), rules.channels);
  Image image = load_image(picture.path, rules);
  if (picture.strip) image = cut_strip(image, *picture.strip, picture.path);
  return picture.depth ? with_depth(std::move(image), *picture.depth) : image;
}

}  // namespace dinomaly
