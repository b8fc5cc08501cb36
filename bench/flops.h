// Dinomaly's arithmetic: two floating-point operations for each multiply-add of the matrix products and of
// attention. Norms, activations and everything else that is one pass over memory are not counted.
#pragma once

#include "dinomaly/model/config.h"
#include "dinomaly/weights/encoder_weights.h"

namespace dinomaly {

struct Flops {
  double encode = 0;                // patch embedding and the blocks up to the last target
  double reconstruct = 0;           // bottleneck and decoder
  double reconstruct_backward = 0;  // the gradients of all products but the bottleneck's input
};

// Of one image of `rows` x `columns` patches; `config` is complete.
Flops flops_of(const EncoderConfig& encoder, const Config& config, int64_t rows, int64_t columns);

}  // namespace dinomaly
