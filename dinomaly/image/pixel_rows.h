// An image file's rows as they are stored, one after the other, whatever the format: what load_image_rgb(),
// load_mask() and the reader of strips are made of.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dinomaly/image/image.h"

namespace dinomaly {

struct PixelLayout {
  int64_t width = 0, height = 0;  // as stored
  // 1: grey, or an index of the palette; 2: grey, alpha; 3: RGB; 4: RGB, alpha. Of Samples::all also others.
  int64_t channels = 3;
  int64_t bits = 8;        // of a sample: 8, 16, 32 or 64
  bool full_range = true;  // false: of 16 bits the file does not say how many are used
  // Signed, floating-point and 32-bit samples are no brightness: only a mask can have them.
  enum class Kind { brightness, integer, floating } kind = Kind::brightness;
  std::string numbers = {};                          // what such samples are, as "signed integers of 16 bits"
  bool pages = false;                                // each channel is a page of its own
  std::vector<std::array<uint8_t, 4>> palette = {};  // RGB, alpha; empty: none
  int orientation = 1;                               // EXIF's, 1 to 8
};

class PixelRows {
 public:
  virtual ~PixelRows() = default;
  const PixelLayout& layout() const { return layout_; }
  // The next row from the top, width * channels samples in this machine's byte order; valid until the next
  // call. At most height calls. Throws InputError naming the file where it is cut short or damaged.
  virtual const uint8_t* next() = 0;

 protected:
  PixelLayout layout_;
};

// How large a file may be.
struct ReadLimits {
  int64_t side = 32768;
  int64_t pixels = int64_t{1} << 26;
  // Of the file, unless it is a TIFF, which is never in memory as a whole.
  uint64_t bytes = uint64_t{1} << 28;
  // What a user can do who meets them, for the end of a message; empty where there is nothing.
  const char* advice = " (predict, eval and calibrate read larger ones in strips, with --tile)";

  bool hold(int64_t width, int64_t height) const {
    return width <= side && height <= side && width * height <= pixels;
  }
};

// How large an image may be that is read in strips (tile_reader.h): its map alone takes 4 bytes per pixel.
inline constexpr ReadLimits strip_limits{
    .side = int64_t{1} << 20, .pixels = int64_t{1} << 29, .bytes = (uint64_t{1} << 31) - 1, .advice = ""};

// What a pixel of many samples is: colours and an alpha, or whatever there is, also on several pages of a TIFF. A file
// of more is refused as neither grey nor RGB.
enum class Samples { colours, all };

// Opens a file of any format that image_format.h names. Throws InputError naming the file and the fault.
std::unique_ptr<PixelRows> open_pixels(const std::filesystem::path& path, const ReadLimits& limits = {},
                                       Samples samples = Samples::colours);

// The same for an image of PixelRules::channels: also throws InputError for samples that are no brightness and, but
// for grey and RGB, where a pixel has not so many of them. The pages of a TIFF, of one brightness each and alike, are
// then the samples.
std::unique_ptr<PixelRows> open_picture(const std::filesystem::path& path, const ReadLimits& limits = {},
                                        int64_t channels = 3);

// The same of bytes in memory; `name` names them in messages and says nothing else. Opens no file.
std::unique_ptr<PixelRows> open_picture(const std::filesystem::path& name, std::string bytes,
                                        const ReadLimits& limits, int64_t channels);

// The largest sample of an image of 16 bits whose file does not say how many of them are used, of the rows up to the
// first that holds `enough` or more; 0 for others, of which only the header is read. An alpha counts where it is one of
// `channels`. Throws as open_picture() and next().
int64_t largest_deep_sample(const std::filesystem::path& path, int64_t enough, int64_t channels = 3);

// One row as 8-bit RGB: grey repeated, palettes resolved, alpha dropped, bits beyond 8 by `rules`.
void row_to_rgb(const PixelLayout& layout, const PixelRules& rules, const uint8_t* row, uint8_t* rgb);
// The same, or all channels of the layout, which has no palette, where `rules` do not ask for three.
void row_to_channels(const PixelLayout& layout, const PixelRules& rules, const uint8_t* row, uint8_t* out);

struct ImageSize {
  int64_t width = 0, height = 0;
};
// As `rules` show the image.
ImageSize size_of(const PixelLayout& layout, const PixelRules& rules);
// All rows, of which none has been read, as load_image() gives them; one channel is not among what `rules` may ask
// for (PixelRules::in_colour()).
Image whole_image(PixelRows& rows, const PixelRules& rules);

}  // namespace dinomaly
