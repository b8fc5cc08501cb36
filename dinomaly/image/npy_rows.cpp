// Arrays of NumPy as images: their rows lie in the file as they are.
#include <cstring>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/npy_format.h"
#include "dinomaly/image/pixel_formats.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

class NpyRows : public PixelRows {
 public:
  NpyRows(ImageFile file, const NpyHeader& header) : file_(std::move(file)), header_(header) {
    layout_ = {
        .width = header.width, .height = header.height, .channels = header.channels, .bits = header.bits};
    layout_.full_range = header.bits == 8;
    row_.resize(static_cast<size_t>(header.width * header.channels * header.bits / 8));
  }
  // A copy: in the file, samples of 16 bits may lie at odd places.
  const uint8_t* next() override {
    std::memcpy(row_.data(), file_.bytes.data() + header_.pixels + y_++ * row_.size(), row_.size());
    for (size_t i = 0; header_.swapped && i < row_.size(); i += 2) std::swap(row_[i], row_[i + 1]);
    return row_.data();
  }

 private:
  ImageFile file_;
  NpyHeader header_;
  size_t y_ = 0;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PixelRows> open_npy(ImageFile file, Samples samples) {
  const NpyHeader header = read_npy_header(ByteReader(file.path, file.bytes));
  file.check_size(header.width, header.height);
  check_input(samples == Samples::all || header.channels == 1 || header.channels == 3,
              "{}: an array of {} channels is not read where grey or RGB is expected{}", file.path.string(),
              header.channels, hint_for_channels(header.channels));
  return std::make_unique<NpyRows>(std::move(file), header);
}

}  // namespace dinomaly
