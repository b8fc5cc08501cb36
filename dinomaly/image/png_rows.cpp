// PNG by libpng. Its errors leave by longjmp, which skips destructors: between setjmp and libpng's functions
// there are none.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/pixel_formats.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

class PngRows : public PixelRows {
 public:
  explicit PngRows(ImageFile file) : file_(std::move(file)) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, ignore);
    check(png_ != nullptr, "libpng: cannot start");
    png_set_crc_action(png_, PNG_CRC_QUIET_USE,
                       PNG_CRC_QUIET_USE);  // open_picture() has tested the checksums
    info_ = png_create_info_struct(png_);
    try {
      if (!read_header()) refuse();
      file_.check_size(layout_.width, layout_.height);
      if (!set_up()) refuse();
      layout_.orientation = exif_orientation(file_.path, file_.bytes);
    } catch (...) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw;
    }
  }
  ~PngRows() override { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngRows(const PngRows&) = delete;
  PngRows& operator=(const PngRows&) = delete;

  const uint8_t* next() override {
    if (passes_ > 1 && y_ == 0) {
      buffer_.resize(row_bytes_ * static_cast<size_t>(layout_.height));
      for (int64_t y = 0; y < layout_.height; ++y)
        rows_.push_back(buffer_.data() + static_cast<size_t>(y) * row_bytes_);
      if (!read_all()) refuse();
    }
    if (passes_ > 1) return rows_[static_cast<size_t>(y_++)];
    buffer_.resize(row_bytes_);
    if (!read_row()) refuse();
    ++y_;
    return buffer_.data();
  }

 private:
  static PngRows* self(png_structp png) { return static_cast<PngRows*>(png_get_error_ptr(png)); }
  static void fail(png_structp png, const char* message) {
    std::strncpy(self(png)->message_, message, sizeof message_ - 1);
    png_longjmp(png, 1);
  }
  static void ignore(png_structp, const char*) {}
  static void take_bytes(png_structp png, png_bytep out, size_t count) {
    auto* rows = static_cast<PngRows*>(png_get_io_ptr(png));
    const std::string& bytes = rows->file_.bytes;
    if (count > bytes.size() - rows->at_) png_error(png, "cut short");
    std::memcpy(out, bytes.data() + rows->at_, count);
    rows->at_ += count;
  }
  [[noreturn]] void refuse() const {
    fail_input("{}: cannot decode the image: {}", file_.path.string(), message_);
  }

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, take_bytes);
    png_set_user_limits(png_, 1 << 20, 1 << 20);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr,
                                -1);  // of profiles, texts and the like
    png_read_info(png_, info_);
    layout_.width = png_get_image_width(png_, info_);
    layout_.height = png_get_image_height(png_, info_);
    return true;
  }

  bool set_up() {
    const bool indexed = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE;
    if (indexed) layout_.palette.resize(256, {0, 0, 0, 255});
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    if (indexed) {
      read_palette();
      png_set_packing(png_);
    } else {
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_tRNS_to_alpha(png_);
      png_set_swap(png_);  // 16 bits are stored with the high byte first
    }
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    layout_.channels = png_get_channels(png_, info_);
    layout_.bits = png_get_bit_depth(png_, info_) == 16 ? 16 : 8;
    layout_.full_range = layout_.bits == 8;
    row_bytes_ = png_get_rowbytes(png_, info_);
    return true;
  }

  void read_palette() {
    png_colorp colours = nullptr;
    png_bytep alphas = nullptr;
    int count = 0, alpha_count = 0;
    png_get_PLTE(png_, info_, &colours, &count);
    png_get_tRNS(png_, info_, &alphas, &alpha_count, nullptr);
    for (int i = 0; i < count && i < 256; ++i) {
      layout_.palette[static_cast<size_t>(i)] = {colours[i].red, colours[i].green, colours[i].blue,
                                                 i < alpha_count ? alphas[i] : uint8_t{255}};
    }
  }

  bool read_row() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_row(png_, buffer_.data(), nullptr);
    return true;
  }
  bool read_all() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows_.data());
    return true;
  }

  ImageFile file_;
  size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  char message_[200] = "";
  int passes_ = 1;
  int64_t y_ = 0;
  size_t row_bytes_ = 0;
  std::vector<uint8_t> buffer_;  // one row, or all of an interlaced image
  std::vector<uint8_t*> rows_;   // of an interlaced image
};

}  // namespace

std::unique_ptr<PixelRows> open_png(ImageFile file) { return std::make_unique<PngRows>(std::move(file)); }

}  // namespace dinomaly
