// Which of a file's tensors are the encoder's, by their names alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dinomaly/base/framework.h"

namespace dinomaly {

// What the name of an encoder's patch embedding ends with, in each library: where such a name is, an encoder is.
inline constexpr std::string_view encoder_anchors[] = {"patch_embed.proj.weight",
                                                       "embeddings.patch_embeddings.projection.weight",
                                                       "embeddings.patch_embeddings.weight"};

// The name without the parts that wrappers of PyTorch put into it wherever they stand: module. (DataParallel,
// DeepSpeed), _orig_mod. (torch.compile), _checkpoint_wrapped_module. (activation checkpoints),
// _fsdp_wrapped_module.
std::string without_wrappers(std::string_view name);

struct EncoderChoice {
  std::string prefix;               // what precedes the encoder's names: "", "encoder.", "teacher.backbone."
  std::vector<std::string> others;  // the prefixes of encoders that were not chosen
};

// Finds encoders by their patch embedding among names without wrappers. Of several, the teacher is taken before
// an average of the weights (ema), that before one without such a name, and the student last. Throws InputError
// beginning with `source` if there is none, if several are equally good or one has no prefix, and for parameters
// that FSDP has flattened.
EncoderChoice choose_encoder(const std::vector<std::string>& names, const std::string& source);

}  // namespace dinomaly
