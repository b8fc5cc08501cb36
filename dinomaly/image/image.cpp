#include "dinomaly/image/image.h"

#include <memory>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_format.h"
#include "tensor/error.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

namespace dinomaly {

namespace {

constexpr uint64_t max_file_bytes = uint64_t{1} << 28;
constexpr int64_t max_pixels = int64_t{1} << 26;

struct Decoded {
  int width = 0, height = 0, channels = 0;  // 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha
  std::unique_ptr<stbi_uc, void (*)(void*)> pixels{nullptr, stbi_image_free};
};

Decoded decode(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, max_file_bytes);
  check_image_file(path, bytes);
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  Decoded image;
  const bool known = stbi_info_from_memory(data, size, &image.width, &image.height, &image.channels) != 0;
  check_input(known, "{}: cannot decode the image: {}", path.string(), stbi_failure_reason());
  check_input(int64_t{image.width} * image.height <= max_pixels,
              "{}: {} x {} pixels are more than the limit of {}", path.string(), image.width, image.height,
              max_pixels);
  image.pixels.reset(stbi_load_from_memory(data, size, &image.width, &image.height, &image.channels, 0));
  check_input(image.pixels != nullptr, "{}: cannot decode the image: {}", path.string(),
              stbi_failure_reason());
  return image;
}

uint8_t luma(const stbi_uc* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

}  // namespace

Image load_image_rgb(const std::filesystem::path& path) {
  const Decoded decoded = decode(path);
  Image image(decoded.width, decoded.height, 3);
  const bool colour = decoded.channels >= 3;
  const stbi_uc* from = decoded.pixels.get();
  for (size_t i = 0; i < image.pixels.size(); i += 3, from += decoded.channels) {
    image.pixels[i] = from[0];
    image.pixels[i + 1] = from[colour ? 1 : 0];
    image.pixels[i + 2] = from[colour ? 2 : 0];
  }
  return image;
}

Image load_grey(const std::filesystem::path& path) {
  const Decoded decoded = decode(path);
  Image image(decoded.width, decoded.height, 1);
  const stbi_uc* from = decoded.pixels.get();
  for (uint8_t& pixel : image.pixels) {
    pixel = decoded.channels >= 3 ? luma(from) : from[0];
    from += decoded.channels;
  }
  return image;
}

Image load_mask(const std::filesystem::path& path, int64_t width, int64_t height) {
  Image mask = load_grey(path);
  check_input(mask.width == width && mask.height == height,
              "{}: the mask is {} x {}, its image {} x {} pixels", path.string(), mask.width, mask.height,
              width, height);
  return mask;
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
  check(done != 0, "encode_png: out of memory");
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

}  // namespace dinomaly
