// What only DINOv3's weights have: rotary positions, and keys without a bias.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

// The heads of an encoder of that width, where the file's periods do not say it: width / 64, of the 7B model's width
// (4096) 32. 0 if 64 does not divide the width.
int64_t usual_rotary_heads(int64_t width);

// The width of a head as rope_embed.periods (d/4) say it, or 0 without them. Throws InputError naming `source` unless
// they are a list of positive, finite numbers.
int64_t rotary_head_width(const std::map<std::string, Tensor>& tensors, const std::string& source);

// Makes blocks.N.attn.qkv.bias (3D) what the model computes with: zeros over the keys, whatever the file holds there,
// and, in a model `without_biases`, all zeros. A block that lacks what others have stays without it. Meta's files say so with a bias_mask (3D) of 1, 0, 1 over queries, keys
// and values, which is taken out; any other mask throws InputError, such as the NaN it holds before initialisation.
// blocks.N.attn.qkv.weight of another shape than (3D, D) is left for later checks.
void settle_key_biases(std::map<std::string, Tensor>& tensors, int64_t depth, bool without_biases,
                       const std::string& source);

}  // namespace dinomaly
