// The table of position embeddings: which rows are of tokens, which of patches.
#pragma once

#include <map>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/tensor.h"

namespace dinomaly {

// Sets grid_h, grid_w and cls_in_position_table from pos_embed (1, rows, D); config.registers is known. Only
// square grids are read, so rows must be
//   1 + G x G      CLS and the patches;
//   G x G          the patches alone: timm's register models, whose cls_token holds its position already. Taken
//                  only with registers and if not `cls_in_table`: 1 + 13 x 15 rows are 14 x 14, too;
//   1 + R + G x G  CLS, R registers (or a distillation token) and the patches: the first rows are added to
//                  cls_token and register_tokens, which leaves a table of patches alone.
// Throws InputError naming `source`, the tensor and its shape for any other.
void read_position_table(std::map<std::string, Tensor>& tensors, bool cls_in_table, EncoderConfig& config,
                         const std::string& source);

}  // namespace dinomaly
