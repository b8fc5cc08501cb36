// JPEG by libjpeg-turbo, row by row: the very pixels that Pillow gives.
#include <jerror.h>

#include <csetjmp>
// jpeglib.h needs cstdio before it.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/jpeg_format.h"
#include "dinomaly/image/pixel_formats.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int most_scans = 100;              // usual are about ten, and each takes as long as the whole image
constexpr long most_jpeg_memory = 1L << 31;  // the coefficients of a progressive image
constexpr int most_padding = 8;              // bytes before the end: many cameras' video frames have some

struct JpegDecoder {
  JpegDecoder() = default;
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }

  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf back{};
  char fault[JMSG_LENGTH_MAX] = "";  // the first warning, or the error; empty: none
};

JpegDecoder& decoder_of(j_common_ptr info) { return *static_cast<JpegDecoder*>(info->client_data); }

[[noreturn]] void leave(j_common_ptr info) {
  JpegDecoder& decoder = decoder_of(info);
  info->err->format_message(info, decoder.fault);
  std::longjmp(decoder.back, 1);
}

// Where data is missing or makes no sense libjpeg only warns, and goes on with grey. Two of its warnings are about
// headers, which does no harm; nor does a little padding behind the last row.
void keep_jpeg_warning(j_common_ptr info, int level) {
  const jpeg_error_mgr& errors = *info->err;
  if (level >= 0 || errors.msg_code == JWRN_JFIF_MAJOR || errors.msg_code == JWRN_ADOBE_XFORM) return;
  const bool padding = errors.msg_code == JWRN_EXTRANEOUS_DATA && errors.msg_parm.i[0] <= most_padding &&
                       errors.msg_parm.i[1] == JPEG_EOI;
  JpegDecoder& decoder = decoder_of(info);
  if (!padding && decoder.fault[0] == 0) info->err->format_message(info, decoder.fault);
}

void limit_scans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most_scans) return;
  JpegDecoder& decoder = decoder_of(info);
  std::snprintf(decoder.fault, sizeof decoder.fault, "more than %d scans", most_scans);
  std::longjmp(decoder.back, 1);
}

// libjpeg leaves these three by longjmp: they hold no objects that need destroying. False: decoder.fault says why.
bool begin_jpeg(JpegDecoder& decoder, const unsigned char* bytes, unsigned long size) {
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = leave;
  decoder.errors.emit_message = keep_jpeg_warning;
  decoder.progress.progress_monitor = limit_scans;
  if (setjmp(decoder.back) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  decoder.info.progress = &decoder.progress;
  decoder.info.mem->max_memory_to_use = most_jpeg_memory;
  jpeg_mem_src(&decoder.info, bytes, size);
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}

bool start_jpeg(JpegDecoder& decoder) {
  if (setjmp(decoder.back) != 0) return false;
  decoder.info.out_color_space = decoder.info.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  decoder.info.dct_method = JDCT_ISLOW;
  decoder.info.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&decoder.info);
  return true;
}

bool read_jpeg_row(JpegDecoder& decoder, JSAMPROW row) {
  if (setjmp(decoder.back) != 0) return false;
  jpeg_read_scanlines(&decoder.info, &row, 1);
  if (decoder.info.output_scanline == decoder.info.output_height) jpeg_finish_decompress(&decoder.info);
  return true;
}

class JpegRows : public PixelRows {
 public:
  explicit JpegRows(ImageFile file) : file_(std::move(file)) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(file_.bytes.data());
    check_jpeg_step(begin_jpeg(decoder_, bytes, static_cast<unsigned long>(file_.bytes.size())));
    file_.check_size(decoder_.info.image_width, decoder_.info.image_height);
    check_jpeg_step(start_jpeg(decoder_));
    layout_ = {.width = decoder_.info.output_width, .height = decoder_.info.output_height};
    layout_.channels = decoder_.info.output_components;
    layout_.orientation = exif_orientation(file_.path, file_.bytes);
    row_.resize(static_cast<size_t>(layout_.width * layout_.channels));
  }

  const uint8_t* next() override {
    check_jpeg_step(read_jpeg_row(decoder_, row_.data()));
    return row_.data();
  }

 private:
  void check_jpeg_step(bool done) const {
    check_input(done && decoder_.fault[0] == 0, "{}: the JPEG is damaged: {}", file_.path.string(),
                decoder_.fault);
  }

  ImageFile file_;
  JpegDecoder decoder_;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PixelRows> open_jpeg(ImageFile file) { return std::make_unique<JpegRows>(std::move(file)); }

}  // namespace dinomaly
