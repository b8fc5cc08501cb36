// Image files as other programs write them, for tests of what is read.
#pragma once

#include <tiffio.h>
#include <webp/encode.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/png.h"

namespace dinomaly {

struct TiffFormat {
  int width = 1, height = 1, bits = 8, samples = 1;
  int photometric = PHOTOMETRIC_MINISBLACK, format = SAMPLEFORMAT_UINT, compression = COMPRESSION_NONE;
  int tile = 0;        // tiles of so many pixels a side; 0: strips
  bool apart = false;  // each channel by itself
  int orientation = 1;
  int alpha = -1;                      // EXTRASAMPLE_... of the last sample; -1: it says nothing
  std::vector<uint16_t> palette = {};  // 3 * 2^bits: red, green, blue
  std::string software = "";
};

inline void set_tags(TIFF* file, const TiffFormat& format) {
  TIFFSetField(file, TIFFTAG_IMAGEWIDTH, format.width);
  TIFFSetField(file, TIFFTAG_IMAGELENGTH, format.height);
  TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, format.bits);
  TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, format.samples);
  TIFFSetField(file, TIFFTAG_SAMPLEFORMAT, format.format);
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, format.photometric);
  TIFFSetField(file, TIFFTAG_COMPRESSION, format.compression);
  TIFFSetField(file, TIFFTAG_PLANARCONFIG, format.apart ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  TIFFSetField(file, TIFFTAG_ORIENTATION, format.orientation);
  if (!format.software.empty()) TIFFSetField(file, TIFFTAG_SOFTWARE, format.software.c_str());
  if (format.alpha >= 0) {
    const uint16_t kind = static_cast<uint16_t>(format.alpha);
    TIFFSetField(file, TIFFTAG_EXTRASAMPLES, 1, &kind);
  }
  const size_t colours = format.palette.size() / 3;
  const uint16_t* red = format.palette.data();
  if (colours > 0) TIFFSetField(file, TIFFTAG_COLORMAP, red, red + colours, red + 2 * colours);
  if (format.tile > 0) {
    TIFFSetField(file, TIFFTAG_TILEWIDTH, format.tile);
    TIFFSetField(file, TIFFTAG_TILELENGTH, format.tile);
  } else {
    TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, 3);
  }
}

// Whole bytes per sample: the samples of the tile or row at (x, y), `width` x `height` pixels, of all channels
// or of the one named.
inline std::string part_of(const std::string& data, const TiffFormat& format, int x, int y, int width,
                           int height, int channel) {
  const size_t bytes = static_cast<size_t>(format.bits) / 8, samples = static_cast<size_t>(format.samples);
  std::string part;
  for (int row = y; row < y + height; ++row) {
    for (int column = x; column < x + width; ++column) {
      const bool inside = row < format.height && column < format.width;
      const size_t pixel = static_cast<size_t>(row * format.width + column) * samples * bytes;
      const size_t size = channel < 0 ? samples * bytes : bytes;
      const size_t at = pixel + (channel < 0 ? 0 : static_cast<size_t>(channel) * bytes);
      part += inside ? data.substr(at, size) : std::string(size, '\0');
    }
  }
  return part;
}

// `data`: rows of packed samples, of all channels together; one string for each page.
// `mode`: "a" adds them to those of the file.
inline void write_tiff(const std::filesystem::path& path, const TiffFormat& format,
                       const std::vector<std::string>& pages, const char* mode = "w") {
  TIFF* file = TIFFOpen(path.c_str(), mode);
  if (file == nullptr) throw std::runtime_error("cannot write " + path.string());
  for (const std::string& data : pages) {
    set_tags(file, format);
    const int channels = format.apart ? format.samples : 1;
    for (int channel = 0; channel < channels; ++channel) {
      const int which = format.apart ? channel : -1;
      const auto sample = static_cast<uint16_t>(channel);
      if (format.tile > 0) {
        for (int y = 0; y < format.height; y += format.tile) {
          for (int x = 0; x < format.width; x += format.tile) {
            std::string part = part_of(data, format, x, y, format.tile, format.tile, which);
            TIFFWriteTile(file, part.data(), static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, sample);
          }
        }
        continue;
      }
      const size_t row_bytes = data.size() / static_cast<size_t>(format.height);
      for (int y = 0; y < format.height; ++y) {
        std::string row = format.bits < 8 || format.bits % 8 != 0
                              ? data.substr(static_cast<size_t>(y) * row_bytes, row_bytes)
                              : part_of(data, format, 0, y, format.width, 1, which);
        TIFFWriteScanline(file, row.data(), static_cast<uint32_t>(y), sample);
      }
    }
    TIFFWriteDirectory(file);
  }
  TIFFClose(file);
}

inline std::string text_of(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// RGB as it is, without loss; with `alpha`, four channels of the given pixels.
inline std::string webp_of(const std::vector<uint8_t>& pixels, int64_t width, int64_t height,
                           bool alpha = false) {
  uint8_t* out = nullptr;
  const int w = static_cast<int>(width), h = static_cast<int>(height), row = w * (alpha ? 4 : 3);
  const size_t size = alpha ? WebPEncodeLosslessRGBA(pixels.data(), w, h, row, &out)
                            : WebPEncodeLosslessRGB(pixels.data(), w, h, row, &out);
  const std::string bytes(reinterpret_cast<const char*>(out), size);
  WebPFree(out);
  return bytes;
}

inline std::string little32(uint32_t value) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// A directory of one tag, 274, in either byte order, with another tag before it.
inline std::string exif_block(int orientation, bool little = true) {
  const std::string value(1, static_cast<char>(orientation)), zero(1, '\0');
  const auto two = [&](int number) {
    const std::string low(1, static_cast<char>(number & 255)), high(1, static_cast<char>(number >> 8));
    return little ? low + high : high + low;
  };
  const auto four = [&](uint32_t number) { return little ? little32(number) : big32(number); };
  return (little ? "II" : "MM") + two(42) + four(8) + two(2) + two(256) + two(4) + four(1) + four(7) +
         two(274) + two(3) + four(1) + two(orientation) + two(0) + four(0);
}

inline std::string jpeg_with_exif(const std::string& jpeg, int orientation, bool little = true) {
  const std::string data = std::string("Exif\0\0", 6) + exif_block(orientation, little);
  const size_t length = data.size() + 2;
  return jpeg.substr(0, 2) + "\xFF\xE1" + static_cast<char>(length >> 8) + static_cast<char>(length & 255) +
         data + jpeg.substr(2);
}

inline std::string png_with_exif(const std::string& png, int orientation) {
  constexpr size_t header = 33;
  return png.substr(0, header) + chunk("eXIf", exif_block(orientation)) + png.substr(header);
}

// The extended container: VP8X with the flag for EXIF, the image's own chunk, EXIF.
inline std::string webp_with_exif(const std::string& webp, int64_t width, int64_t height, int orientation) {
  const std::string block = exif_block(orientation);
  const std::string sizes = little32(static_cast<uint32_t>(width - 1)).substr(0, 3) +
                            little32(static_cast<uint32_t>(height - 1)).substr(0, 3);
  const std::string body = "WEBPVP8X" + little32(10) + std::string("\x08\0\0\0", 4) + sizes +
                           webp.substr(12) + "EXIF" + little32(static_cast<uint32_t>(block.size())) + block;
  return "RIFF" + little32(static_cast<uint32_t>(body.size())) + body;
}

}  // namespace dinomaly
