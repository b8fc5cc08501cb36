// Encoders for images of other numbers of channels than the three they were trained on.
#pragma once

#include <cstdint>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/tensor.h"

namespace dinomaly {

// weight (D, 3, P, P), of a patch embedding -> (D, channels, P, P) of the same dtype, by the rule of timm's
// adapt_input_conv() (timm/models/_manipulate.py): of one channel the sum over the three, so that grey gives what the
// same grey in three channels does; of others channel c gets the weights of channel c mod 3, times 3 / channels, so
// that the sum stays of the same size.
Tensor inflated_patch_embedding(const Tensor& weight, int64_t channels);

// The encoder for images of so many channels: as it is where it takes them already, inflated where it takes three.
// Throws InputError naming `source` and both numbers otherwise.
EncoderWeights with_channels(EncoderWeights weights, int64_t channels, const std::string& source);

}  // namespace dinomaly
