// How the libraries that publish ViT encoders name their tensors.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/tensor.h"

namespace dinomaly {

// The tensors of an encoder under Meta's names.
struct NamedEncoder {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, Tensor> unused;  // norm.weight, norm.bias, mask_token: Dinomaly needs none of them
  std::vector<std::string> incomplete;   // under Meta's name: parts of a split tensor that are absent
  std::vector<std::string> unexpected;   // under the file's own names
  int64_t heads = 0;                     // tensors of heads, which are dropped
  Naming naming = Naming::meta;          // of the file
  bool cls_in_table = false;             // by its names, a library's whose position table has a row for CLS
  bool rotary = false;                   // DINOv3: names that DINOv2 has not, and no position table
};

// Renames Meta's, timm's and transformers' names (without prefix) to Meta's: query, key and value are joined
// to qkv, gate and up projections to w12, and timm's SwiGLU (fc1 of twice the rows that fc2 has columns)
// becomes w12 and w3. Blocks in chunks (blocks.CHUNK.N) keep their N; a distillation token becomes a register.
// DINOv3's are renamed to its own: storage_tokens, rope_embed.periods (if the file has them), but w12 as in DINOv2;
// a key bias that the library leaves out is zero. Heads are dropped; the final norm and the mask token are set aside.
// Throws InputError beginning with `source` if the names are of two libraries, two tensors or two spellings stand for
// one name (both are named), a name that only DINOv3 has stands beside a position table, which it has not, or neither
// is there, joined parts do not fit each other, or a needed one is among the `skipped`, which could not be read.
NamedEncoder to_meta_names(const std::map<std::string, Tensor>& tensors,
                           const std::map<std::string, std::string>& skipped, const std::string& source);

}  // namespace dinomaly
