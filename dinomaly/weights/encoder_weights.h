// The weights of a ViT encoder: Meta's DINOv2 and DINOv3 (and the reference bundles), timm's ViTs and transformers'
// Dinov2Model and DINOv3ViTModel are all returned under the names that Meta gave DINOv2.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/tensor.h"

namespace dinomaly {

// What the shapes of the weights say about the encoder.
struct EncoderConfig {
  enum class Ffn {
    mlp,           // fc1 (hidden, width), GELU, fc2 (width, hidden)
    swiglu_fused,  // w12 (2 hidden, width), silu(first half) * second half, w3 (width, hidden)
  };
  int64_t width = 0, heads = 0, depth = 0;
  int64_t patch = 0;               // side, in pixels
  int64_t registers = 0;           // tokens between CLS and the patches
  int64_t grid_h = 0, grid_w = 0;  // the position table's, in patches; 0 with rotary positions
  int64_t hidden = 0;
  Ffn ffn = Ffn::mlp;
  bool layer_scale = false;
  // False for timm's register models: cls_token already holds its position, the table has patches only.
  bool cls_in_position_table = true;
  bool rotary = false;     // DINOv3: positions turn q and k (RoPE) instead of being added from a table
  double norm_eps = 1e-6;  // of all LayerNorms; DINOv3: 1e-5
  int64_t channels = 3;    // of the images, 1 to 16

  bool operator==(const EncoderConfig&) const = default;
};

struct EncoderWeights {
  EncoderConfig config;
  // In the order of the forward pass; dtypes as in the file.
  //   cls_token (1, 1, D), pos_embed (1, [1 +] grid_h grid_w, D), register_tokens (1, R, D) where R > 0,
  //   patch_embed.proj.weight (D, channels, P, P), .bias (D), and for each block N, under blocks.N.:
  //   norm1.{weight,bias} (D), attn.qkv.weight (3D, D), .bias, attn.proj.weight (D, D), .bias, [ls1.gamma
  //   (D)], norm2.{weight,bias}, mlp.{fc1,fc2 | w12,w3}.{weight,bias}, [ls2.gamma].
  // With rotary positions: rope_embed.periods (d/4) f32, d = D / heads, instead of pos_embed; storage_tokens instead of
  // register_tokens; and zeros in attn.qkv.bias over the keys. (DINOv3's w1 and w2 are w12 here.)
  std::vector<std::pair<std::string, Tensor>> tensors;
  // If the file has them: norm.{weight,bias} (D), mask_token (1, D). Kept for other programs; nothing
  // here uses them.
  std::map<std::string, Tensor> unused = {};
  // What of the file it is: what precedes its names there, the prefixes of other encoders, and how many tensors of
  // the file are not used: other models, heads and the like.
  std::string prefix = {};
  std::vector<std::string> others = {};
  int64_t not_used = 0;
};

// For `heads` below: as 0, but for those who only look at names and shapes, which say nothing of heads where positions
// come from a table: a width that 64 does not divide is no error there.
inline constexpr int64_t any_heads = -1;
// What --heads says, of which 0 is nothing.
constexpr int64_t heads_or_any(int64_t heads) { return heads > 0 ? heads : any_heads; }

// Finds the encoder among the tensors, under whatever prefix ("encoder.", "model.", "weights/encoder.",
// "teacher.backbone."; choose_encoder() says which of several): tensors outside the prefix are ignored, and so are
// the final norm, the mask token and heads inside. `skipped` are those of the file that could not be read.
// `heads` 0 means as many as the rotary periods say, otherwise width / 64 (of width 4096, DINOv3's 7B: 32).
// `source` names the file in errors. Throws InputError if there is no encoder or it is not clear which, naming
// missing, unexpected, misshapen and unread tensors, and if `heads` does not divide the width.
EncoderWeights load_encoder(const std::map<std::string, Tensor>& tensors, const std::string& source,
                            int64_t heads = 0, const std::map<std::string, std::string>& skipped = {});

// "SOURCE: the encoder is what is under 'teacher.backbone.', not 'student.backbone.'; 30 other tensors are not
// used", for a log; empty if the file holds little else.
std::string describe_choice(const EncoderWeights& weights, const std::string& source);

}  // namespace dinomaly
