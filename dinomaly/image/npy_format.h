// NumPy's arrays in a file, where they are images of 8 or 16 bits: (height, width, channels); of one channel also
// (height, width), and (1, height, width) where width can be no number of channels.
#pragma once

#include <cstdint>
#include <string_view>

#include "dinomaly/image/byte_reader.h"

namespace dinomaly {

struct NpyHeader {
  int64_t height = 0, width = 0, channels = 0;
  int64_t bits = 8;
  bool swapped = false;  // 16 bits with the high byte first
  size_t pixels = 0;     // where they begin
};

// Whether the file is an array at all, by its first bytes.
bool is_npy(std::string_view bytes);

// The header of an array that is an image. Throws InputError naming the file and what else it is: other numbers than
// uint8 and uint16, other axes, more than 16 channels, Fortran order, a header that makes no sense.
NpyHeader read_npy_header(const ByteReader& file);

// Whether that header can be read, of a file of which these are the first bytes.
bool is_npy_image(std::string_view head);

// An array as a mask, (height, width), (height, width, 1) or (1, height, width) of bool or of whole numbers of 1, 2, 4 or
// 8 bytes: what is not zero is defective. Throws InputError naming the file for others, and where it is cut short.
struct NpyLabels {
  int64_t height = 0, width = 0, bytes = 1;
  size_t begin = 0;  // of the numbers in the file
};
NpyLabels read_npy_labels(const ByteReader& file);

}  // namespace dinomaly
