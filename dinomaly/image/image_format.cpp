#include "dinomaly/image/image_format.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/jpeg_format.h"
#include "dinomaly/image/npy_format.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

using namespace std::string_view_literals;

// The checksum of chunk type and data, as the PNG specification (section 5.5) prescribes.
uint32_t checksum(std::string_view bytes) {
  const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
  return static_cast<uint32_t>(::crc32(0, data, static_cast<uInt>(bytes.size())));
}

void check_png(const ByteReader& file) {
  for (size_t at = 8;;) {
    const size_t length = file.big32(at);
    const std::string_view type = file.text(at + 4, 4);
    file.need(at + 12 + length);
    // An upper-case first letter marks what a decoder cannot do without.
    const bool critical = type[0] >= 'A' && type[0] <= 'Z';
    if (critical) {
      check_input(checksum(file.text(at + 4, 4 + length)) == file.big32(at + 8 + length),
                  "{}: the PNG is damaged: wrong checksum at byte {}", file.name(), at);
    }
    if (type == "IHDR" && length >= 8) check_sides(file, file.big32(at + 8), file.big32(at + 12));
    check_input(type != "acTL" || length < 4 || file.big32(at + 8) < 2,
                "{}: a PNG animation; only still images are read", file.name());
    if (type == "IEND") return;
    at += 12 + length;
  }
}

void check_bmp(const ByteReader& file) {
  const BmpHeader header = read_bmp_header(file);
  const int64_t last_row = (header.width * header.bits + 7) / 8;
  file.need(header.pixels + static_cast<size_t>(header.padded_row * (header.height - 1) + last_row));
}

void check_pnm(const ByteReader& file) {
  const PnmHeader header = read_pnm_header(file);
  if (!header.binary) return;  // numbers as text: their count shows when they are read
  const int64_t row = header.bitmap ? (header.width + 7) / 8
                                    : header.width * header.channels * (header.largest > 255 ? 2 : 1);
  file.need(header.pixels + static_cast<size_t>(row * header.height));
}

void check_webp(const ByteReader& file) {
  const size_t length = file.little32(4);
  check_input(length >= 12, "{}: the WebP is damaged: it says it has {}", file.name(),
              counted(length, "byte"));
  file.need(8 + length);
  constexpr uint8_t animated = 2;
  check_input(file.text(12, 4) != "VP8X" || (file.u8(20) & animated) == 0,
              "{}: a WebP animation; only still images are read", file.name());
}

// The first directory lies where the header says; everything else is libtiff's to find.
void check_tiff(const ByteReader& file) {
  const bool little = file.u8(0) == 'I', big_tiff = (little ? file.little16(2) : file.big16(2)) == 43;
  if (big_tiff) return file.need(16);
  file.need(size_t{little ? file.little32(4) : file.big32(4)} + 2);
}

void check_npy(const ByteReader& file) {
  const NpyHeader header = read_npy_header(file);
  file.need(header.pixels +
            static_cast<size_t>(header.height * header.width * header.channels * header.bits / 8));
}

std::string iso_media(std::string_view brand) {
  if (brand.starts_with("avi")) return "AVIF";
  if (brand.starts_with("hei") || brand.starts_with("hev") || brand == "mif1" || brand == "msf1")
    return "HEIF";
  if (brand == "crx ") return "camera raw";
  return "";
}

std::string foreign_bytes(std::string_view bytes) {
  static const std::vector<std::pair<std::string_view, std::string>> starts{
      {"GIF8"sv, "GIF"},
      {"\0\0\0\x0cjP  "sv, "JPEG 2000"},
      {"\xFF\x4F\xFF\x51"sv, "JPEG 2000"},
      {"\0\0\0\x0cJXL "sv, "JPEG XL"},
      {"\xFF\x0A"sv, "JPEG XL"},
      {"8BPS"sv, "Photoshop"},
      {"\x76\x2F\x31\x01"sv, "OpenEXR"},
      {"#?RADIANCE"sv, "Radiance HDR"},
      {"#?RGBE"sv, "Radiance HDR"},
      {"DDS "sv, "DDS"},
      {"qoif"sv, "QOI"},
      {"\0\0\1\0"sv, "icon"},
      {"SIMPLE  ="sv, "FITS"},
      {"P7\n"sv, "PAM"},
      {"Pf"sv, "PFM"},
      {"PF"sv, "PFM"},
      {"FUJIFILMCCD-RAW"sv, "camera raw"},
      {"II\x1a\0\0\0HEAPCCDR"sv, "camera raw"},
      {"<svg"sv, "SVG"},
      {"\xC5\xD0\xD3\xC6"sv, "EPS"},
      {"%!PS-Adobe"sv, "PostScript"},
      {"%PDF-"sv, "PDF"}};
  for (const auto& [start, name] : starts) {
    if (bytes.starts_with(start)) return name;
  }
  if (bytes.size() >= 132 && bytes.substr(128, 4) == "DICM") return "DICOM";
  return bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp" ? iso_media(bytes.substr(8, 4)) : "";
}

const std::string& foreign_extension(const std::filesystem::path& path) {
  static const std::map<std::string, std::string> names{
      {".gif", "GIF"},        {".heic", "HEIF"},      {".heif", "HEIF"},      {".avif", "AVIF"},
      {".svg", "SVG"},        {".jp2", "JPEG 2000"},  {".j2k", "JPEG 2000"},  {".jpx", "JPEG 2000"},
      {".jxl", "JPEG XL"},    {".psd", "Photoshop"},  {".exr", "OpenEXR"},    {".hdr", "Radiance HDR"},
      {".ico", "icon"},       {".tga", "Targa"},      {".pcx", "PCX"},        {".dds", "DDS"},
      {".qoi", "QOI"},        {".pam", "PAM"},        {".pfm", "PFM"},        {".fits", "FITS"},
      {".dcm", "DICOM"},      {".dng", "camera raw"}, {".cr2", "camera raw"}, {".cr3", "camera raw"},
      {".nef", "camera raw"}, {".nrw", "camera raw"}, {".arw", "camera raw"}, {".orf", "camera raw"},
      {".pef", "camera raw"}, {".raf", "camera raw"}, {".rw2", "camera raw"}, {".srw", "camera raw"},
      {".raw", "camera raw"}, {".3fr", "camera raw"}, {".iiq", "camera raw"}, {".jls", "JPEG-LS"}};
  static const std::string none;
  const auto found = names.find(lower(path.extension().string()));
  return found == names.end() ? none : found->second;
}

}  // namespace

ImageFormat format_of(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return ImageFormat::png;
  if (bytes.starts_with("\xFF\xD8")) return ImageFormat::jpeg;
  if (bytes.starts_with("BM")) return ImageFormat::bmp;
  for (const std::string_view start : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) {
    if (bytes.starts_with(start)) return ImageFormat::tiff;
  }
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP")
    return ImageFormat::webp;
  if (is_npy_image(bytes)) return ImageFormat::npy;
  const bool numbered = bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6';
  if (numbered && " \t\r\n\v\f#"sv.find(bytes[2]) != std::string_view::npos) return ImageFormat::pnm;
  return ImageFormat::unknown;
}

std::string foreign_format(std::string_view bytes, const std::filesystem::path& path) {
  const ImageFormat format = format_of(bytes);
  const std::string& by_name = foreign_extension(path);
  if (format == ImageFormat::tiff && by_name == "camera raw") return by_name;
  if (format != ImageFormat::unknown) return "";
  const std::string by_bytes = foreign_bytes(bytes);
  return by_bytes.empty() ? by_name : by_bytes;
}

void check_sides(const ByteReader& file, int64_t width, int64_t height) {
  check_input(is_side(width) && is_side(height), "{}: {} x {} pixels; a side must be within 1..{}",
              file.name(), width, height, largest_side);
}

BmpHeader read_bmp_header(const ByteReader& file) {
  BmpHeader header;
  const size_t info = file.little32(14);
  const bool old = info == 12;
  header.pixels = file.little32(10);
  header.width = old ? file.little16(18) : static_cast<int32_t>(file.little32(18));
  const int64_t height = old ? file.little16(20) : int64_t{static_cast<int32_t>(file.little32(22))};
  header.from_top = height < 0;
  header.height = std::abs(height);
  header.bits = file.little16(old ? 24 : 28);
  check_sides(file, header.width, header.height);
  check_input(header.bits <= 32, "{}: a BMP of {} bits per pixel cannot be read", file.name(), header.bits);
  constexpr std::array<const char*, 6> codings{"", "RLE8", "RLE4", "", "JPEG", "PNG"};
  const uint32_t coding = old ? 0 : file.little32(30);
  check_input(coding >= codings.size() || codings[coding][0] == '\0',
              "{}: a BMP compressed by {} cannot be read, only an uncompressed one", file.name(),
              codings[coding < codings.size() ? coding : 0]);
  header.padded_row = (header.width * header.bits + 31) / 32 * 4;
  if (header.bits > 8) return header;
  header.palette = 14 + info;
  header.entry = old ? 3 : 4;
  const size_t stated = old ? 0 : file.little32(46), most = size_t{1} << header.bits;
  header.colours = stated == 0 ? most : std::min(stated, most);
  return header;
}

PnmHeader read_pnm_header(const ByteReader& file) {
  const int kind = file.u8(1) - '0';
  PnmHeader header{.channels = kind % 3 == 0 ? 3 : 1, .binary = kind > 3, .bitmap = kind % 3 == 1};
  size_t at = 2;
  const auto is_space = [](uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto number = [&](const char* what, int64_t most) {
    while (is_space(file.u8(at)) || file.u8(at) == '#') {
      if (file.u8(at) == '#') {
        while (file.u8(at) != '\n') ++at;
      }
      ++at;
    }
    int64_t value = 0;
    const size_t begin = at;
    for (; file.u8(at) >= '0' && file.u8(at) <= '9'; ++at)
      value = std::min<int64_t>(10 * value + file.u8(at) - '0', most + 1);
    check_input(at > begin, "{}: the PNM is damaged: no number in its header", file.name());
    check_input(value >= 1 && value <= most, "{}: the PNM's {} is {}, not within 1..{}", file.name(), what,
                printable(file.text(begin, at - begin), 30), most);
    return value;
  };
  header.width = number("width", largest_side), header.height = number("height", largest_side);
  if (!header.bitmap) header.largest = number("largest value", 65535);
  check_input(is_space(file.u8(at)), "{}: the PNM is damaged: no space after its header", file.name());
  header.pixels = at + 1;
  return header;
}

void check_image_file(const std::filesystem::path& path, std::string_view bytes) {
  const ByteReader file(path, bytes);
  check_input(!bytes.empty(), "{}: the file is empty", file.name());
  const std::string foreign = foreign_format(bytes, path);
  check_input(foreign.empty(),
              "{}: {} is a format that is not read; PNG, JPEG, TIFF, WebP, BMP, PNM and NPY are", file.name(),
              foreign);
  if (is_npy(bytes)) return check_npy(file);
  switch (format_of(bytes)) {
    case ImageFormat::png:
      return check_png(file);
    case ImageFormat::jpeg:
      return check_jpeg(file);
    case ImageFormat::bmp:
      return check_bmp(file);
    case ImageFormat::tiff:
      return check_tiff(file);
    case ImageFormat::webp:
      return check_webp(file);
    case ImageFormat::pnm:
      return check_pnm(file);
    default:
      fail_input("{}: not a PNG, JPEG, TIFF, WebP, BMP, PNM or NPY image", file.name());
  }
}

}  // namespace dinomaly
