#include "dinomaly/image/image.h"

#include <stb/stb_image_write.h>

#include <new>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/result_mark.h"
#include "tensor/error.h"

namespace dinomaly {

Image load_image_rgb(const std::filesystem::path& path, const PixelRules& rules) {
  check(rules.channels == 3, "load_image_rgb: {} channels", rules.channels);
  return load_image(path, rules);
}

Image load_image(const std::filesystem::path& path, const PixelRules& rules) {
  Image image = whole_image(*open_picture(path, {}, rules.channels), rules.in_colour());
  return rules.channels == 1 ? in_grey(image) : image;
}

Image in_grey(const Image& rgb) {
  check(rgb.channels == 3, "in_grey: {} channels", rgb.channels);
  Image grey(rgb.width, rgb.height, 1);
  const uint8_t* from = rgb.pixels.data();
  for (uint8_t& pixel : grey.pixels) {
    pixel = static_cast<uint8_t>((19595 * from[0] + 38470 * from[1] + 7471 * from[2] + (1 << 15)) >> 16);
    from += 3;
  }
  return grey;
}

bool is_grey(std::span<const uint8_t> rgb) {
  constexpr int most = 4;
  for (size_t i = 0; i + 2 < rgb.size(); i += 3) {
    const auto [low, high] = std::minmax({rgb[i], rgb[i + 1], rgb[i + 2]});
    if (high - low > most) return false;
  }
  return true;
}

namespace {

// Called by stb_image_write with each part of a file; `context` is the string that collects them.
void append_bytes(void* context, void* data, int size) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

void check_encodable(const Image& image) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3),
        "encode: an image of {} x {} x {}", image.height, image.width, image.channels);
}

}  // namespace

std::string encode_png(const Image& image) {
  check_encodable(image);
  std::string bytes;
  const int channels = static_cast<int>(image.channels), width = static_cast<int>(image.width);
  const int done = stbi_write_png_to_func(append_bytes, &bytes, width, static_cast<int>(image.height),
                                          channels, image.pixels.data(), width * channels);
  if (done == 0) throw std::bad_alloc();
  return bytes;
}

std::string encode_jpeg(const Image& image, int quality) {
  check_encodable(image);
  std::string bytes;
  const int done = stbi_write_jpg_to_func(append_bytes, &bytes, static_cast<int>(image.width),
                                          static_cast<int>(image.height), static_cast<int>(image.channels),
                                          image.pixels.data(), quality);
  check(done != 0, "encode_jpeg: failed");
  return bytes;
}

void save_png(const std::filesystem::path& path, const Image& image) { write_file(path, encode_png(image)); }

void save_result_png(const std::filesystem::path& path, const Image& image) {
  check_result_place(path);
  write_file(path, with_result_mark(encode_png(image)));
}

}  // namespace dinomaly
