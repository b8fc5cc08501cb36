// The one file that compiles stb_image and stb_image_write. They are configured by macros; nothing
// else here is.
#include <zlib.h>

#include <cstdlib>

namespace {

// Compressed data may claim any size: no single buffer of a decoder grows beyond this.
constexpr size_t largest_buffer = size_t{1} << 30;

// Zeros, so that pixels a damaged image leaves unset are at least always the same.
void* bounded_malloc(size_t bytes) { return bytes <= largest_buffer ? std::calloc(1, bytes) : nullptr; }

// The writer's own compression takes several times as long and compresses less.
unsigned char* zlib_compress(unsigned char* data, int size, int* packed_size, int) {
  constexpr int level = 2;
  uLongf length = compressBound(static_cast<uLong>(size));
  auto* packed = static_cast<unsigned char*>(std::malloc(length));  // the writer frees it
  if (packed == nullptr || compress2(packed, &length, data, static_cast<uLong>(size), level) != Z_OK) {
    std::free(packed);
    return nullptr;
  }
  *packed_size = static_cast<int>(length);
  return packed;
}

}  // namespace

#define STBI_MALLOC(size) bounded_malloc(size)
#define STBI_REALLOC(block, size) std::realloc(block, size)  // of no use to BMP
#define STBI_FREE(block) std::free(block)
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 65536  // callers have limits of their own
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STBIW_ZLIB_COMPRESS zlib_compress
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
