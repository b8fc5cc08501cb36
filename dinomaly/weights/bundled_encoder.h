// The encoder that is part of the program: assets/encoder.safetensors, which pretrain_encoder made (assets/README.md).
#pragma once

#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

inline constexpr const char* bundled_encoder_name = "the encoder of this program";  // in messages

// Its file, under that name.
WeightsFile bundled_encoder();

// What its images are resized to and cropped from, in pixels: the parts of an image are then about as large as those of
// the scenes that it has been trained on.
inline constexpr int64_t bundled_resize = 256, bundled_crop = 224;

}  // namespace dinomaly
