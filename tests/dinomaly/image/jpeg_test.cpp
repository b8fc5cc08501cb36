// JPEGs: Pillow's pixels, and no image where data is lost.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/image/jpeg_expected.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::string from_hexadecimal(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

uint64_t hash_of_pixels(const Image& image) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t pixel : image.pixels) hash = (hash ^ pixel) * 0x100000001b3;
  return hash;
}

struct JpegFile {
  TemporaryFolder folder;
  std::filesystem::path path = folder / "a.jpg";

  Image load(const std::string& bytes) const {
    write_file(path, bytes);
    return load_image_rgb(path);
  }
  std::string error(const std::string& bytes) const {
    return input_error([&] { load(bytes); });
  }
};

// Where the data of the first scan begins.
size_t begin_of_data(const std::string& jpeg) {
  const size_t scan = jpeg.find("\xFF\xDA");
  REQUIRE(scan != std::string::npos);
  return scan + 2 + static_cast<uint8_t>(jpeg[scan + 3]);
}

const std::string end_of_jpeg = "\xFF\xD9";

}  // namespace

TEST_CASE("jpeg: the pixels are Pillow's, whatever follows the end") {
  const JpegFile file;
  for (const ExpectedJpeg& expected : expected_jpegs) {
    CAPTURE(expected.kind);
    const std::string bytes = from_hexadecimal(expected.bytes);
    const Image image = file.load(bytes);
    CHECK((image.width == 40 && image.height == 28));
    CHECK(hash_of_pixels(image) == expected.hash);
    for (const std::string& trailing : {std::string(1000, '\0'), std::string("made by a camera"), bytes})
      CHECK(file.load(bytes + trailing) == image);
    // As the video frames of many cameras.
    const std::string padded = bytes.substr(0, bytes.size() - 2) + std::string(4, '\0') + end_of_jpeg;
    CHECK(file.load(padded) == image);
  }
}

TEST_CASE("jpeg: data that is lost is damage, even before a proper end") {
  const JpegFile file;
  for (const ExpectedJpeg& expected : expected_jpegs) {
    CAPTURE(expected.kind);
    const std::string bytes = from_hexadecimal(expected.bytes);
    const size_t begin = begin_of_data(bytes), middle = begin + (bytes.size() - begin) / 2;
    const auto refused = [&](const std::string& damaged) {
      CHECK(one_line_with(file.error(damaged), "a.jpg: the JPEG is damaged: "));
    };
    refused(bytes.substr(0, middle) + end_of_jpeg);
    refused(bytes.substr(0, middle) + bytes.substr(middle + (bytes.size() - middle) / 2));
    refused(bytes.substr(0, middle) + std::string(bytes.size() - 2 - middle, '\0') + end_of_jpeg);
    refused(bytes.substr(0, bytes.size() - 2) + std::string(40, '\0') + end_of_jpeg);
    CHECK(one_line_with(file.error(bytes.substr(0, middle)), "a.jpg: the image is cut short"));
  }
}

TEST_CASE("jpeg: a progressive image of very many scans is refused before it takes its time") {
  const JpegFile file;
  const std::string bytes = from_hexadecimal(expected_jpegs[2].bytes);
  // The last scan, which refines the brightness, again and again.
  const size_t scan = bytes.rfind("\xFF\xDA");
  std::string scans;
  for (int i = 0; i < 200; ++i) scans += bytes.substr(scan, bytes.size() - 2 - scan);
  const std::string message = file.error(bytes.substr(0, scan) + scans + end_of_jpeg);
  CHECK(one_line_with(message, "a.jpg: the JPEG is damaged: more than 100 scans"));
}

}  // namespace dinomaly
