// The options of bench_dinomaly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "dinomaly/weights/encoder_weights.h"

namespace dinomaly {

struct BenchOptions {
  bool train = false;
  std::string arch = "small";
  int64_t size = 0, batch = 1;  // size 0: 28 patches
  Dtype precision = Dtype::f32;
  bool int8 = false;  // products of int8, all else in f32
  Device device;
  int threads = 0;  // 0: one per processor
  int64_t repeat = 5;
  uint64_t seed = 1;
  bool kept_features = false;
  bool serve = false, profile = false;
  std::optional<std::filesystem::path> weights, save_weights;

  nlohmann::json to_json() const;
};

// None where only the help was asked for. Throws InputError.
std::optional<BenchOptions> parse_bench_options(int argc, char** argv);

// With LayerScale and four registers. `arch`: small, base, large are DINOv2's (patch 14, a position table of 37 x 37);
// dinov3-small, dinov3-small-plus, dinov3-base, dinov3-large DINOv3's (patch 16, rotary positions; plus: SwiGLU).
EncoderConfig encoder_config(const std::string& arch);

}  // namespace dinomaly
