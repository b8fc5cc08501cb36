// What a JPEG file must hold before the decoder sees it.
#pragma once

#include <string>

#include "dinomaly/image/byte_reader.h"

namespace dinomaly {

struct JpegLayout {
  bool lacks_huffman_tables = false;  // the usual ones are meant, as in the frames of a camera's video
};

// Throws InputError naming the file unless it is a JPEG of 1 or 3 components, up to its EOI marker, in a
// coding that the decoder knows, whose scans use tables that exist.
JpegLayout check_jpeg(const ByteReader& file);

// The file with the tables of ITU T.81 Annex K.3 put in front.
std::string with_standard_huffman_tables(std::string_view bytes);

}  // namespace dinomaly
