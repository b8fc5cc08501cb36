#include "dinomaly/weights/bundled_encoder.h"

#include <cstddef>
#include <span>

#include "tensor/io/safetensors.h"

// The file's bytes, between two symbols of the program. BUNDLED_ENCODER is its path, from CMake.
asm(R"(
  .pushsection .rodata
  .balign 64
  .hidden dinomaly_bundled_encoder
  .global dinomaly_bundled_encoder
dinomaly_bundled_encoder:
  .incbin ")" BUNDLED_ENCODER R"("
  .hidden dinomaly_bundled_encoder_end
  .global dinomaly_bundled_encoder_end
dinomaly_bundled_encoder_end:
  .byte 0
  .popsection
)");
extern "C" const std::byte dinomaly_bundled_encoder[], dinomaly_bundled_encoder_end[];

namespace dinomaly {

WeightsFile bundled_encoder() {
  return weights_of(SafeTensors::from_bytes({dinomaly_bundled_encoder, dinomaly_bundled_encoder_end},
                                            bundled_encoder_name));
}

}  // namespace dinomaly
