// What a JPEG file must hold before the decoder sees it.
#pragma once

#include "dinomaly/image/byte_reader.h"

namespace dinomaly {

// Throws InputError naming the file unless it is a JPEG of 1 or 3 components, up to its EOI marker, in a
// coding that the decoder knows, whose scans use tables that exist (of Huffman codes, or none: the usual ones).
void check_jpeg(const ByteReader& file);

}  // namespace dinomaly
