#include "dinomaly/weights/bundled_encoder.h"

#include <zlib.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"

// What cmake/pack_encoder.cpp makes of the file, and its size, as symbols of the program. BUNDLED_ENCODER is its path,
// from CMake.
asm(R"(
  .pushsection .rodata
  .balign 64
  .hidden dinomaly_bundled_encoder
  .global dinomaly_bundled_encoder
dinomaly_bundled_encoder:
  .incbin ")" BUNDLED_ENCODER R"("
dinomaly_bundled_encoder_end:
  .balign 8
  .hidden dinomaly_bundled_encoder_bytes
  .global dinomaly_bundled_encoder_bytes
dinomaly_bundled_encoder_bytes:
  .quad dinomaly_bundled_encoder_end - dinomaly_bundled_encoder
  .popsection
)");
extern "C" const std::byte dinomaly_bundled_encoder[];
extern "C" const uint64_t dinomaly_bundled_encoder_bytes;

namespace dinomaly {

namespace {

// The file of a packed one: its size in 8 bytes, little endian, its bytes of even places, and, deflated, those of odd ones.
std::vector<std::byte> unpacked(std::span<const std::byte> packed) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t size = 0;
  std::memcpy(&size, packed.data(), sizeof size);
  const std::byte* const even = packed.data() + sizeof size;
  const size_t evens = size - size / 2;
  packed = packed.subspan(sizeof size + evens);
  std::vector<std::byte> odd(size / 2), file(size);
  uLongf odds = odd.size();
  const int status = ::uncompress(reinterpret_cast<Bytef*>(odd.data()), &odds,
                                  reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  nabla::check(status == Z_OK && odds == odd.size(), "bundled encoder: zlib's error {}", status);
  for (size_t i = 0; i < evens; ++i) file[2 * i] = even[i];
  for (size_t i = 0; i < odds; ++i) file[2 * i + 1] = odd[i];
  return file;
}

}  // namespace

WeightsFile bundled_encoder() {
  if (dinomaly_bundled_encoder_bytes == 0)
    nabla::fail_input("this program was built without an encoder of its own: name one with --encoder");
  return weights_of(SafeTensors::from_bytes(
      unpacked({dinomaly_bundled_encoder, dinomaly_bundled_encoder_bytes}), bundled_encoder_name));
}

}  // namespace dinomaly
