// The samples of a TIFF file row by row, whether it is stored in strips or tiles, its channels together or apart.
#pragma once

#include <tiffio.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/image/pixel_rows.h"

namespace dinomaly {

struct TiffLayout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT;
  uint16_t photometric = PHOTOMETRIC_MINISBLACK, planar = PLANARCONFIG_CONTIG, orientation = 1;

  // A row has width * samples of so many bytes: 1 for up to 8 bits, 2 for up to 16, then 4 and 8.
  size_t sample_bytes() const { return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8; }
};

// Where a TIFF is read from: the file of that path, or bytes in memory, which then only have that name.
struct TiffSource {
  TiffSource(std::filesystem::path file) : path(std::move(file)) {}  // NOLINT: a file is a source
  TiffSource(std::filesystem::path name, std::string content)
      : path(std::move(name)), bytes(std::make_shared<const std::string>(std::move(content))) {}
  std::filesystem::path path;
  std::shared_ptr<const std::string> bytes;  // null: the file is read
};

class TiffFile {
 public:
  // Throws InputError naming the file: no such file, no TIFF, no size or one beyond the limits, several pages,
  // a thumbnail in front of the image.
  TiffFile(const TiffSource& source, const ReadLimits& limits);
  // One of several pages, by its number in pages_of(). They share the memory that a single one may take.
  TiffFile(const TiffSource& source, const ReadLimits& limits, const std::vector<tdir_t>& pages, size_t page);
  const TiffLayout& layout() const { return layout_; }
  TIFF* get() const { return file_.get(); }
  // The next row from the top, of integers of fewer than 8 or 16 bits each in a byte or two of its own. Throws
  // InputError where the file is cut short or damaged.
  const uint8_t* next();

  struct Closer {
    void operator()(TIFF* file) const { TIFFClose(file); }
  };
  using Handle = std::unique_ptr<TIFF, Closer>;
  using Complaint = std::array<char, 200>;  // a text that ends with 0
  // libtiff prints nothing of its own; its first error, or warning that says damage, goes to `complaint`, which must
  // outlive the handle. Null where the file cannot be opened.
  static Handle open(const std::filesystem::path& path, const char* mode, Complaint* complaint = nullptr);
  // Reads bytes in memory, which the handle keeps.
  static Handle open(const TiffSource& source, Complaint* complaint);
  // Writes into `bytes`, which must outlive the handle.
  static Handle write_to(std::string& bytes);

 private:
  void read_layout(const ReadLimits& limits);
  void ask_jpeg_for_rgb();
  void begin(tmsize_t largest);
  void read_band();
  void fill_row(const uint8_t* packed, int64_t first, int64_t count, size_t plane);
  void check_read(bool ok) const;

  std::string name_;
  std::unique_ptr<Complaint> complaint_ = std::make_unique<Complaint>();
  Handle file_;
  TiffLayout layout_;
  bool tiled_ = false;
  uint32_t tile_width_ = 0, band_rows_ = 1;  // a band: a row of tiles, a strip of each channel, or one row
  size_t part_bytes_ = 0, part_row_ = 0;     // of a tile or strip: its bytes, and those of one of its rows
  size_t planes_ = 1, across_ = 1;           // parts of a band: channels that lie apart, tiles side by side
  uint32_t y_ = 0;
  std::vector<uint8_t> band_, row_;
};

// The directories of a TIFF that are pages: smaller copies of one and transparency masks are none. At most 1000 are
// looked at. Throws InputError as TiffFile(), but for the size.
std::vector<tdir_t> pages_of(const TiffSource& source);

// The floats per pixel of a TIFF of such; 0 for every other file, and for those whose fault its reader will describe.
int64_t floats_per_pixel(const std::filesystem::path& path);

}  // namespace dinomaly
