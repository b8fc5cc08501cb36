// The inverse of encoder_names.h: an encoder's tensors under the names that other libraries load.
#pragma once

#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_weights.h"
#include "nn/module.h"

namespace dinomaly {

enum class Naming { meta, timm, transformers };

// "meta", "timm" or "transformers"; anything else throws InputError.
Naming parse_naming(const std::string& name);

// The state dict of Meta's DinoVisionTransformer, timm's VisionTransformer or transformers' Dinov2Model (or
// Dinov2WithRegistersModel, DINOv3ViTModel), without prefix, final norm and mask token where they are known.
//   timm: register models hold the sum of CLS and its position in cls_token; SwiGLU is mlp.fc1, mlp.fc2; no
//   mask token. Meta and transformers: where the table came without a row for CLS, it gets one of zeros.
//   transformers: query, key and value apart; where there is no LayerScale, one of ones.
// DINOv3: only Meta's files hold its periods (see drops_periods()) and a bias_mask over the keys' bias; where all biases
// of queries and values are zero, no file has them, as in the 7B model.
NamedTensors named_as(const EncoderWeights& weights, Naming naming);

// The names in such a state dict of what Meta's DINOv2 names so, as "blocks.0.attn.qkv.weight": several where it is split.
std::vector<std::string> names_in(Naming naming, const std::string& name, bool rotary);

// Whether that library will compute other rotary periods than these weights hold: Meta's own went through bf16.
bool drops_periods(const EncoderWeights& weights, Naming naming);

}  // namespace dinomaly
