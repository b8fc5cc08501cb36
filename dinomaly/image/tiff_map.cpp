#include "dinomaly/image/tiff_map.h"

#include <tiffio.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "dinomaly/base/files.h"

namespace dinomaly {

namespace {

constexpr uint32_t largest_tiff_side = 32768;
constexpr uint64_t largest_area = uint64_t{1} << 26;

struct Closer {
  void operator()(TIFF* file) const { TIFFClose(file); }
};
using File = std::unique_ptr<TIFF, Closer>;

// libtiff would print messages of its own; only ours, which names the file, is printed.
File open(const std::filesystem::path& path, const char* mode) {
  TIFFSetErrorHandler(nullptr);
  TIFFSetWarningHandler(nullptr);
  return File(TIFFOpen(path.c_str(), mode));
}

struct TiffLayout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT;
};

TiffLayout read_layout(TIFF* file, const std::string& name) {
  TiffLayout layout;
  const bool sized = TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &layout.width) == 1 &&
                     TIFFGetField(file, TIFFTAG_IMAGELENGTH, &layout.height) == 1;
  check_input(sized && layout.width > 0 && layout.height > 0, "{}: a TIFF without a size", name);
  check_input(layout.width <= largest_tiff_side && layout.height <= largest_tiff_side &&
                  uint64_t{layout.width} * layout.height <= largest_area,
              "{}: {}x{} pixels are too many for a map", name, layout.width, layout.height);
  TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &layout.bits);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &layout.samples);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &layout.format);
  const bool floating = layout.format == SAMPLEFORMAT_IEEEFP && (layout.bits == 32 || layout.bits == 64);
  const bool integer = layout.format == SAMPLEFORMAT_UINT && (layout.bits == 8 || layout.bits == 16);
  check_input(layout.samples == 1 && (floating || integer) && TIFFIsTiled(file) == 0,
              "{}: not a map: {} samples of {} bits per pixel{}", name, layout.samples, layout.bits,
              TIFFIsTiled(file) ? ", in tiles" : "");
  return layout;
}

template <class T>
void widen(const uint8_t* row, uint32_t width, float* out) {
  for (uint32_t x = 0; x < width; ++x) {
    T value;
    std::memcpy(&value, row + x * sizeof(T), sizeof(T));
    out[x] = static_cast<float>(value);
  }
}

void convert_row(const TiffLayout& layout, const uint8_t* row, float* out) {
  if (layout.format == SAMPLEFORMAT_UINT) {
    layout.bits == 8 ? widen<uint8_t>(row, layout.width, out) : widen<uint16_t>(row, layout.width, out);
  } else {
    layout.bits == 32 ? widen<float>(row, layout.width, out) : widen<double>(row, layout.width, out);
  }
}

}  // namespace

void save_tiff_map(const std::filesystem::path& path, const Tensor& map) {
  check(map.rank() == 2 && map.dtype() == Dtype::f32 && map.numel() > 0, "save_tiff_map: a map of {} {}",
        map.shape(), map.dtype());
  if (path.has_parent_path()) make_folder(path.parent_path());
  const Tensor dense = map.contiguous();
  const std::filesystem::path temporary = temporary_name(path);
  bool ok = false;
  if (const File file = open(temporary, "w")) {
    const uint32_t width = static_cast<uint32_t>(map.size(1)), height = static_cast<uint32_t>(map.size(0));
    TIFFSetField(file.get(), TIFFTAG_IMAGEWIDTH, width);
    TIFFSetField(file.get(), TIFFTAG_IMAGELENGTH, height);
    TIFFSetField(file.get(), TIFFTAG_BITSPERSAMPLE, 32);
    TIFFSetField(file.get(), TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(file.get(), TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP);
    TIFFSetField(file.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(file.get(), TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    TIFFSetField(file.get(), TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(file.get(), TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(file.get(), 0));
    ok = true;
    for (uint32_t y = 0; ok && y < height; ++y) {
      ok = TIFFWriteScanline(file.get(), dense.data<float>() + uint64_t{y} * width, y, 0) == 1;
    }
    ok = ok && TIFFFlush(file.get()) == 1;
  }
  std::error_code error;
  if (ok) std::filesystem::rename(temporary, path, error);
  if (!ok || error) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    fail_input("{}: cannot be written", path.string());
  }
}

Tensor load_tiff_map(const std::filesystem::path& path) {
  const std::string name = path.string();
  check_input(std::filesystem::is_regular_file(path), "{}: no such file", name);
  const File file = open(path, "r");
  check_input(file != nullptr, "{}: not a TIFF file", name);
  const TiffLayout layout = read_layout(file.get(), name);
  // A file shorter than its pixels would allocate memory it cannot fill.
  const tmsize_t row_bytes = TIFFScanlineSize(file.get());
  check_input(row_bytes >= static_cast<tmsize_t>(layout.width) * (layout.bits / 8) && row_bytes <= (1 << 20),
              "{}: rows of {} bytes do not fit {} pixels", name, row_bytes, layout.width);
  std::vector<uint8_t> row(static_cast<size_t>(row_bytes));
  std::vector<float> values;
  for (uint32_t y = 0; y < layout.height; ++y) {
    check_input(TIFFReadScanline(file.get(), row.data(), y, 0) == 1, "{}: cut short or damaged in row {}",
                name, y);
    values.resize(values.size() + layout.width);
    float* out = values.data() + uint64_t{y} * layout.width;
    convert_row(layout, row.data(), out);
    for (uint32_t x = 0; x < layout.width; ++x) {
      check_input(std::isfinite(out[x]), "{}: the value at ({}, {}) is not finite", name, x, y);
    }
  }
  return Tensor::from(values, {layout.height, layout.width});
}

}  // namespace dinomaly
