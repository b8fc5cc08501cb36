// The frozen encoder: a vision transformer as DINOv2 (Oquab et al. 2023; registers: Darcet et al. 2024) or DINOv3
// (Simeoni et al. 2025) trained it.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/config.h"
#include "dinomaly/weights/encoder_weights.h"
#include "nn/transformer.h"

namespace dinomaly {

// x += ls1(attn(norm1(x))); x += ls2(mlp(norm2(x))).
class EncoderBlock : public Module {
 public:
  explicit EncoderBlock(const EncoderConfig& config);
  // `tables` are defined where positions are rotary.
  Variable operator()(const Variable& x, const RopeTables& tables = {}) const;

 private:
  LayerNorm& norm1_;
  Attention& attn_;
  LayerScale* ls1_ = nullptr;  // null: identity
  LayerNorm& norm2_;
  FeedForward* mlp_;
  LayerScale* ls2_ = nullptr;
};

// Patches that an encoder is not shown: `token` (D) stands in their place, as masked image modelling wants it.
struct HiddenPatches {
  Tensor places;  // (B, P) u8: 1 where a patch is hidden; undefined: none is
  Variable token;
};

class Encoder : public Module {
 public:
  // `preset` chooses how the position table is interpolated. Rotary positions need heads of a width that 4 divides.
  Encoder(const EncoderConfig& config, Preset preset);
  const EncoderConfig& config() const { return config_; }
  int64_t prefix_tokens() const { return 1 + config_.registers; }

  // images (B, channels, H, W), normalised, sides multiples of the patch. Calls sink(i, x) with the raw output x
  // (B, T, D) of block targets[i], T = 1 + registers + H/patch * W/patch, in order; blocks after the last
  // one are not run.
  void features(const Variable& images, const std::vector<int64_t>& targets,
                const std::function<void(size_t, const Variable&)>& sink,
                const HiddenPatches& hidden = {}) const;

 private:
  Variable embed(const Variable& images, const HiddenPatches& hidden) const;
  Variable position_table(int64_t rows, int64_t columns) const;
  RopeTables rope_tables(int64_t rows, int64_t columns) const;

  // The tables of the last grid: they serve every block, and every image of that size.
  struct KeptTables {
    int64_t rows = 0, columns = 0;
    std::vector<float> periods;
    RopeTables tables;
  };
  EncoderConfig config_;
  Preset preset_;
  Variable cls_token_, register_tokens_;  // DINOv3 names the latter storage_tokens
  Variable pos_embed_;                    // undefined with rotary positions
  Variable periods_;                      // of the rotary positions (d/4), f32
  mutable std::mutex kept_tables_mutex_;
  mutable KeptTables kept_tables_;
  PatchEmbed& patch_embed_;
  std::vector<EncoderBlock*> blocks_;
};

// A frozen encoder with the given weights.
void load_encoder_weights(Encoder& encoder, const EncoderWeights& weights, const std::string& source);

// Random weights for use without a weights file; their features still distinguish textures.
EncoderWeights random_encoder(const EncoderConfig& config, Generator& generator);

}  // namespace dinomaly
