#include "dinomaly/weights/bundled_encoder.h"

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"

// The file's bytes and their number, as symbols of the program. BUNDLED_ENCODER is its path, from CMake.
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

WeightsFile bundled_encoder() {
  if (dinomaly_bundled_encoder_bytes == 0)
    nabla::fail_input("this program was built without an encoder of its own: name one with --encoder");
  return weights_of(SafeTensors::from_bytes({dinomaly_bundled_encoder, dinomaly_bundled_encoder_bytes},
                                            bundled_encoder_name));
}

}  // namespace dinomaly
