#include "dinomaly/image/tiff_file.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr tmsize_t largest_buffer = tmsize_t{1} << 30;

// A tile or strip may be larger than the image, but not beyond what its pixels could take.
tmsize_t largest_part(const ReadLimits& limits) {
  return std::min<tmsize_t>(largest_buffer, 16 * std::max<tmsize_t>(limits.pixels, tmsize_t{1} << 16));
}

// The first error is kept where someone asks for it.
int keep_error(TIFF*, void* to, const char*, const char* format, va_list values) {
  if (to == nullptr) return 1;
  TiffFile::Complaint& complaint = *static_cast<TiffFile::Complaint*>(to);
  if (complaint[0] == 0) std::vsnprintf(complaint.data(), complaint.size(), format, values);
  return 1;
}

// libjpeg only warns where data is missing or makes no sense, and goes on with grey.
int keep_warning(TIFF* file, void* to, const char* module, const char* format, va_list values) {
  const bool is_damage = module != nullptr && std::string_view(module) == "JPEGLib";
  return is_damage ? keep_error(file, to, module, format, values) : 1;
}

// `count` integers of `bits` bits each, the highest first, become one byte or one 16-bit word each.
template <class T>
void unpack(const uint8_t* packed, int64_t first, int64_t count, int64_t bits, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = (first + i) * bits;
    uint32_t value = 0;
    for (int64_t byte = place / 8; byte <= (place + bits - 1) / 8; ++byte) value = value << 8 | packed[byte];
    const int64_t behind = (8 - (place + bits) % 8) % 8;
    out[i] = static_cast<T>(value >> behind & ((1u << bits) - 1));
  }
}

TiffFile::Handle open_existing(const TiffSource& source, TiffFile::Complaint* complaint = nullptr) {
  if (!source.bytes) check_regular_file(source.path);
  TiffFile::Handle file = source.bytes ? TiffFile::open(source, complaint)
                                       // not mapped: the file may shrink
                                       : TiffFile::open(source.path, "rm", complaint);
  check_input(file != nullptr, "{}: not a TIFF file, or cut short", source.path.string());
  return file;
}

// What libtiff takes for a file: bytes that are read, or written.
struct MemoryFile {
  std::shared_ptr<const std::string> from;
  std::string* to = nullptr;
  toff_t at = 0;

  toff_t size() const { return to != nullptr ? to->size() : from->size(); }
};

tmsize_t read_memory(thandle_t handle, void* out, tmsize_t count) {
  auto* file = static_cast<MemoryFile*>(handle);
  const std::string& bytes = file->to != nullptr ? *file->to : *file->from;
  if (file->at >= bytes.size() || count <= 0) return 0;
  const size_t taken = std::min(static_cast<size_t>(count), bytes.size() - file->at);
  std::memcpy(out, bytes.data() + file->at, taken);
  file->at += taken;
  return static_cast<tmsize_t>(taken);
}

tmsize_t write_memory(thandle_t handle, void* from, tmsize_t count) {
  auto* file = static_cast<MemoryFile*>(handle);
  if (file->to == nullptr || count <= 0) return 0;
  const auto size = static_cast<size_t>(count);
  if (file->to->size() < file->at + size) file->to->resize(file->at + size);
  std::memcpy(file->to->data() + file->at, from, size);
  file->at += size;
  return count;
}

toff_t seek_memory(thandle_t handle, toff_t offset, int whence) {
  auto* file = static_cast<MemoryFile*>(handle);
  if (whence == SEEK_CUR) offset += file->at;
  if (whence == SEEK_END) offset += file->size();
  return file->at = offset;
}

int close_memory(thandle_t handle) {
  delete static_cast<MemoryFile*>(handle);
  return 0;
}

toff_t size_of_memory(thandle_t handle) { return static_cast<MemoryFile*>(handle)->size(); }
int map_nothing(thandle_t, void**, toff_t*) { return 0; }
void unmap_nothing(thandle_t, void*, toff_t) {}

// Options of every file: see TiffFile::open().
struct OpenOptions {
  explicit OpenOptions(TiffFile::Complaint* complaint) : options(TIFFOpenOptionsAlloc()) {
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, largest_buffer);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, complaint);
    TIFFOpenOptionsSetWarningHandlerExtR(options, keep_warning, complaint);
  }
  ~OpenOptions() { TIFFOpenOptionsFree(options); }
  OpenOptions(const OpenOptions&) = delete;
  OpenOptions& operator=(const OpenOptions&) = delete;
  TIFFOpenOptions* options;
};

TiffFile::Handle open_memory(MemoryFile memory, const std::string& name, const char* mode,
                             TiffFile::Complaint* complaint) {
  const OpenOptions with(complaint);
  auto held = std::make_unique<MemoryFile>(std::move(memory));
  TiffFile::Handle file(TIFFClientOpenExt(name.c_str(), mode, held.get(), read_memory, write_memory,
                                          seek_memory, close_memory, size_of_memory, map_nothing,
                                          unmap_nothing, with.options));
  if (file) static_cast<void>(held.release());  // close_memory() deletes it
  return file;
}

// From the first directory on.
std::vector<tdir_t> pages_from_here(TIFF* file, const std::string& name) {
  constexpr uint32_t beside = FILETYPE_REDUCEDIMAGE | FILETYPE_MASK;
  constexpr tdir_t most = 1000;
  std::vector<tdir_t> pages;
  tdir_t directory = 0;
  do {
    uint32_t kind = 0;
    TIFFGetFieldDefaulted(file, TIFFTAG_SUBFILETYPE, &kind);
    check_input(directory > 0 || (kind & beside) == 0,
                "{}: the first picture of this TIFF is a preview; such files (camera raw?) are not read",
                name);
    if ((kind & beside) == 0) pages.push_back(directory);
  } while (++directory < most && TIFFReadDirectory(file) == 1);
  return pages;
}

}  // namespace

TiffFile::Handle TiffFile::open(const std::filesystem::path& path, const char* mode, Complaint* complaint) {
  const OpenOptions with(complaint);
  return Handle(TIFFOpenExt(path.c_str(), mode, with.options));
}

TiffFile::Handle TiffFile::open(const TiffSource& source, Complaint* complaint) {
  return open_memory({.from = source.bytes}, source.path.string(), "rm", complaint);
}

TiffFile::Handle TiffFile::write_to(std::string& bytes) {
  return open_memory({.from = nullptr, .to = &bytes}, "map", "w", nullptr);
}

TiffFile::TiffFile(const TiffSource& source, const ReadLimits& limits)
    : name_(source.path.string()), file_(open_existing(source, complaint_.get())) {
  read_layout(limits);
  const size_t pages = pages_from_here(file_.get(), name_).size();
  check_input(pages == 1,
              "{}: a TIFF of {} pages; only a single image is read, or pages of one brightness each as the "
              "channels of a model that takes so many (2 or 4 to {})",
              name_, pages, most_channels);
  complaint_->fill(0);
  check_read(TIFFSetDirectory(file_.get(), 0) == 1);
  begin(largest_part(limits));
}

TiffFile::TiffFile(const TiffSource& source, const ReadLimits& limits, const std::vector<tdir_t>& pages,
                   size_t page)
    : name_(source.path.string()), file_(open_existing(source, complaint_.get())) {
  check_read(TIFFSetDirectory(file_.get(), pages.at(page)) == 1);
  read_layout(limits);
  begin(largest_part(limits) / static_cast<tmsize_t>(pages.size()));
}

void TiffFile::read_layout(const ReadLimits& limits) {
  TIFF* file = file_.get();
  const bool sized = TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &layout_.width) == 1 &&
                     TIFFGetField(file, TIFFTAG_IMAGELENGTH, &layout_.height) == 1;
  check_input(sized && layout_.width > 0 && layout_.height > 0, "{}: a TIFF without a size", name_);
  check_input(limits.hold(layout_.width, layout_.height),
              "{}: {} x {} pixels are more than the limit of {}, or of {} a side{}", name_, layout_.width,
              layout_.height, limits.pixels, limits.side, limits.advice);
  TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &layout_.bits);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &layout_.samples);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &layout_.format);
  TIFFGetFieldDefaulted(file, TIFFTAG_PLANARCONFIG, &layout_.planar);
  if (TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &layout_.photometric) != 1 && layout_.samples >= 3)
    layout_.photometric = PHOTOMETRIC_RGB;
  uint32_t depth = 1;
  TIFFGetFieldDefaulted(file, TIFFTAG_IMAGEDEPTH, &depth);
  check_input(depth == 1, "{}: a TIFF of {} layers (ImageDepth); only flat images are read", name_, depth);
  uint16_t orientation = 1, compression = COMPRESSION_NONE;
  TIFFGetFieldDefaulted(file, TIFFTAG_ORIENTATION, &orientation);
  if (orientation >= 1 && orientation <= 8) layout_.orientation = orientation;
  TIFFGetFieldDefaulted(file, TIFFTAG_COMPRESSION, &compression);
  check_input(TIFFIsCODECConfigured(compression) != 0, "{}: a TIFF in a compression ({}) that is not read",
              name_, compression);
  const bool known = (layout_.bits >= 1 && layout_.bits <= 16) || layout_.bits == 32 || layout_.bits == 64;
  check_input(known && layout_.samples >= 1,
              "{}: a TIFF of {} of {} bits per pixel is not read, only those of 1 to 16, 32 or 64 bits",
              name_, counted(layout_.samples, "sample"), layout_.bits);
}

std::vector<tdir_t> pages_of(const TiffSource& source) {
  const TiffFile::Handle file = open_existing(source);
  return pages_from_here(file.get(), source.path.string());
}

void TiffFile::check_read(bool ok) const {
  const std::string_view said(complaint_->data());
  check_input(ok && said.empty(), "{}: the TIFF is cut short or damaged in row {}{}{}", name_, y_,
              said.empty() ? "" : ": ", said);
}

// libjpeg turns YCbCr into RGB, whole pixel by whole pixel. The codec forgets this with each change of the directory.
void TiffFile::ask_jpeg_for_rgb() {
  uint16_t compression = COMPRESSION_NONE;
  TIFFGetFieldDefaulted(file_.get(), TIFFTAG_COMPRESSION, &compression);
  if (compression == COMPRESSION_JPEG && layout_.photometric == PHOTOMETRIC_YCBCR &&
      TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB) == 1) {
    layout_.photometric = PHOTOMETRIC_RGB;
  }
}

// Of the directory that is now the current one.
void TiffFile::begin(tmsize_t largest) {
  complaint_->fill(0);  // of directories
  ask_jpeg_for_rgb();
  TIFF* file = file_.get();
  tiled_ = TIFFIsTiled(file) != 0;
  const bool apart = layout_.planar == PLANARCONFIG_SEPARATE && layout_.samples > 1;
  planes_ = apart ? layout_.samples : 1;
  const uint64_t in_pixel = apart ? 1 : layout_.samples;
  uint64_t part_width = layout_.width;
  tmsize_t part = TIFFScanlineSize(file);
  if (tiled_) {
    check_input(TIFFGetField(file, TIFFTAG_TILEWIDTH, &tile_width_) == 1 &&
                    TIFFGetField(file, TIFFTAG_TILELENGTH, &band_rows_) == 1 && tile_width_ > 0 &&
                    band_rows_ > 0,
                "{}: a TIFF in tiles without a size", name_);
    part = TIFFTileSize(file);
    part_width = tile_width_;
    across_ = (layout_.width + tile_width_ - 1) / tile_width_;
  } else if (apart) {
    TIFFGetFieldDefaulted(file, TIFFTAG_ROWSPERSTRIP, &band_rows_);
    band_rows_ = std::clamp<uint32_t>(band_rows_, 1, layout_.height);
    part = TIFFStripSize(file);
  }
  const uint64_t row = (part_width * in_pixel * layout_.bits + 7) / 8;
  const bool fits = part > 0 && part <= largest && row * band_rows_ <= static_cast<uint64_t>(part);
  check_input(fits && static_cast<uint64_t>(part) * planes_ * across_ <= static_cast<uint64_t>(largest),
              "{}: parts of {} bytes do not fit {} x {} pixels, or are too large", name_, part, layout_.width,
              layout_.height);
  part_bytes_ = static_cast<size_t>(part), part_row_ = static_cast<size_t>(row);
}

void TiffFile::read_band() {
  band_.resize(part_bytes_ * planes_ * across_);
  if (!tiled_ && planes_ == 1) return check_read(TIFFReadScanline(file_.get(), band_.data(), y_, 0) == 1);
  const auto size = static_cast<tmsize_t>(part_bytes_);
  for (size_t plane = 0; plane < planes_; ++plane) {
    const auto sample = static_cast<uint16_t>(plane);
    for (size_t part = 0; part < across_; ++part) {
      uint8_t* to = band_.data() + (plane * across_ + part) * part_bytes_;
      if (tiled_) {
        const uint32_t x = static_cast<uint32_t>(part) * tile_width_;
        check_read(TIFFReadTile(file_.get(), to, x, y_, 0, sample) > 0);
        continue;
      }
      const uint32_t rows = std::min(band_rows_, layout_.height - y_);
      const auto wanted = static_cast<tmsize_t>(part_row_ * rows);
      check_read(TIFFReadEncodedStrip(file_.get(), TIFFComputeStrip(file_.get(), y_, sample), to, size) >=
                 wanted);
    }
  }
}

// `count` pixels from the pixel `first` on: of all channels together, or of one of those that lie apart.
void TiffFile::fill_row(const uint8_t* packed, int64_t first, int64_t count, size_t plane) {
  const size_t bytes = layout_.sample_bytes(), samples = layout_.samples;
  const int64_t each = planes_ == 1 ? layout_.samples : 1;
  uint8_t* out = row_.data() + static_cast<size_t>(first) * samples * bytes;
  std::vector<uint8_t> channel;
  if (planes_ > 1) channel.resize(static_cast<size_t>(count) * bytes);
  uint8_t* to = planes_ > 1 ? channel.data() : out;
  if (layout_.bits % 8 == 0 && layout_.bits != 24)
    std::memcpy(to, packed, static_cast<size_t>(count * each) * bytes);
  else if (bytes == 1)
    unpack(packed, 0, count * each, layout_.bits, to);
  else
    unpack(packed, 0, count * each, layout_.bits, reinterpret_cast<uint16_t*>(to));
  if (planes_ == 1) return;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i)
    std::memcpy(out + (i * samples + plane) * bytes, channel.data() + i * bytes, bytes);
}

const uint8_t* TiffFile::next() {
  check(y_ < layout_.height, "TiffFile: there is no row {}", y_);
  row_.resize(size_t{layout_.width} * layout_.samples * layout_.sample_bytes());
  if (y_ % band_rows_ == 0) read_band();
  for (size_t plane = 0; plane < planes_; ++plane) {
    for (size_t part = 0; part < across_; ++part) {
      const int64_t first = tiled_ ? static_cast<int64_t>(part) * tile_width_ : 0;
      const int64_t width = tiled_ ? tile_width_ : layout_.width;
      const uint8_t* packed =
          band_.data() + (plane * across_ + part) * part_bytes_ + (y_ % band_rows_) * part_row_;
      fill_row(packed, first, std::min(width, layout_.width - first), plane);
    }
  }
  ++y_;
  return row_.data();
}

int64_t floats_per_pixel(const std::filesystem::path& path) {
  try {
    const TiffLayout layout = TiffFile(path, {}).layout();
    return layout.format == SAMPLEFORMAT_IEEEFP ? layout.samples : 0;
  } catch (const InputError&) {
    return 0;
  }
}

}  // namespace dinomaly
