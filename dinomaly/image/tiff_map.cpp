#include "dinomaly/image/tiff_map.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <system_error>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/io/atomic_file.h"

namespace dinomaly {

namespace {

// 16 bits of IEEE 754: a sign, 5 bits of exponent, 10 of fraction.
float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                               : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25));
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
  if (layout.format == SAMPLEFORMAT_UINT)
    return layout.bits == 8 ? widen<uint8_t>(row, layout.width, out)
                            : widen<uint16_t>(row, layout.width, out);
  if (layout.bits == 32) return widen<float>(row, layout.width, out);
  if (layout.bits == 64) return widen<double>(row, layout.width, out);
  for (uint32_t x = 0; x < layout.width; ++x) {
    uint16_t half;
    std::memcpy(&half, row + x * sizeof half, sizeof half);
    out[x] = half_to_float(half);
  }
}

}  // namespace

// Whether all of it could be written.
static bool write_map(TIFF* file, const Tensor& map) {
  check(map.rank() == 2 && map.dtype() == Dtype::f32 && map.numel() > 0, "tiff map: a map of {} {}",
        map.shape(), map.dtype());
  const Tensor dense = map.contiguous();
  const uint32_t width = static_cast<uint32_t>(map.size(1)), height = static_cast<uint32_t>(map.size(0));
  TIFFSetField(file, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(file, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, 32);
  TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 1);
  TIFFSetField(file, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP);
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
  TIFFSetField(file, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  TIFFSetField(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(file, TIFFTAG_SOFTWARE, result_mark);
  TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(file, 0));
  for (uint32_t y = 0; y < height; ++y) {
    if (TIFFWriteScanline(file, dense.data<float>() + uint64_t{y} * width, y, 0) != 1) return false;
  }
  return TIFFFlush(file) == 1;
}

std::string encode_tiff_map(const Tensor& map) {
  std::string bytes;
  const TiffFile::Handle file = TiffFile::write_to(bytes);
  check(file != nullptr && write_map(file.get(), map), "tiff map: cannot be written to memory");
  return bytes;
}

void save_tiff_map(const std::filesystem::path& path, const Tensor& map) {
  if (path.has_parent_path()) make_folder(path.parent_path());
  check_result_place(path);
  const std::filesystem::path target = output_place(path).file, temporary = temporary_name(target);
  std::error_code error, ignored;
  errno = 0;  // libtiff does not say why it cannot write, but the system's last word stays
  if (const TiffFile::Handle file = TiffFile::open(temporary, "w"); !file || !write_map(file.get(), map))
    error.assign(errno != 0 ? errno : EIO, std::generic_category());
  if (!error) std::filesystem::rename(temporary, target, error);
  if (!error) return;
  std::filesystem::remove(temporary, ignored);
  fail_input("{}: cannot be written: {}", path.string(), error.message());
}

Tensor load_tiff_map(const std::filesystem::path& path) {
  const std::string name = path.string();
  TiffFile file(path, {});
  const TiffLayout& layout = file.layout();
  const bool floating = layout.format == SAMPLEFORMAT_IEEEFP && layout.bits % 16 == 0;
  const bool integer = layout.format == SAMPLEFORMAT_UINT && (layout.bits == 8 || layout.bits == 16);
  check_input(layout.samples == 1 && (floating || integer), "{}: not a map: {} of {} per pixel", name,
              counted(layout.samples, "sample"), counted(layout.bits, "bit"));
  // A file shorter than its pixels would allocate memory it cannot fill.
  std::vector<float> values;
  for (uint32_t y = 0; y < layout.height; ++y) {
    const uint8_t* row = file.next();
    values.resize(values.size() + layout.width);
    float* out = values.data() + uint64_t{y} * layout.width;
    convert_row(layout, row, out);
    for (uint32_t x = 0; x < layout.width; ++x) {
      check_input(std::isfinite(out[x]), "{}: the value at ({}, {}) is not finite", name, x, y);
    }
  }
  return Tensor::from(values, {layout.height, layout.width});
}

}  // namespace dinomaly
