#include "dinomaly/image/fingerprint.h"

#include <fmt/format.h>

#include <memory>

#include "dinomaly/base/files.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/image/pixel_rows.h"

namespace dinomaly {

namespace {

constexpr size_t fingerprint_digits = 16;

std::string marked(Sha256& hash) {
  return std::string(pixel_mark) + hash.hex().substr(0, fingerprint_digits);
}

std::string fingerprint_of(const Image& image) {
  Sha256 hash;
  hash.update(fmt::format("{} {} {}\n", image.width, image.height, image.channels));
  hash.update(image.pixels.data(), image.pixels.size());
  return marked(hash);
}

std::string fingerprint_of_rows(PixelRows& rows, const PixelRules& rules) {
  const PixelLayout& layout = rows.layout();
  Sha256 hash;
  hash.update(fmt::format("{} {} {} {}\n", layout.width, layout.height, rules.channels,
                          rules.exif_orientation ? layout.orientation : 1));
  std::vector<uint8_t> row(static_cast<size_t>(rules.channels * layout.width));
  for (int64_t y = 0; y < layout.height; ++y) {
    row_to_channels(layout, rules, rows.next(), row.data());
    hash.update(row.data(), row.size());
  }
  return marked(hash);
}

}  // namespace

std::string image_fingerprint(const Picture& picture, const PixelRules& rules) {
  const PixelRules in_colour = rules.in_colour();
  if (picture.strip || picture.depth || !picture.fault.empty())
    return fingerprint_of(load_picture(picture, picture.depth ? rules : in_colour));
  const std::unique_ptr<PixelRows> rows = open_picture(picture.path, strip_limits, rules.channels);
  const bool whole = ReadLimits{}.hold(rows->layout().width, rows->layout().height);
  return whole ? fingerprint_of(whole_image(*rows, in_colour)) : fingerprint_of_rows(*rows, in_colour);
}

std::vector<std::string> image_fingerprints(const std::vector<Picture>& pictures, const PixelRules& rules) {
  std::vector<std::string> result(pictures.size());
  for_each_in_parallel(pictures.size(), [&](size_t i) { result[i] = image_fingerprint(pictures[i], rules); });
  return result;
}

std::string file_fingerprint(const std::filesystem::path& file) {
  constexpr uint64_t largest = uint64_t{1} << 31;
  return sha256_of(read_file(file, largest)).substr(0, fingerprint_digits);
}

}  // namespace dinomaly
