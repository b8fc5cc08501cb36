// The one place that compiles stb_image and stb_image_write. They are set up by macros; nothing else here is.
#include <cstdlib>

namespace {

// Compressed data may claim any size: no single buffer of a decoder grows beyond this.
constexpr size_t largest_buffer = size_t{1} << 30;

void* bounded_realloc(void* block, size_t bytes) {
  return bytes <= largest_buffer ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(size) bounded_realloc(nullptr, size)
#define STBI_REALLOC(block, size) bounded_realloc(block, size)
#define STBI_FREE(block) std::free(block)
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 32768
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
