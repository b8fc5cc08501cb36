#include "dinomaly/weights/rotary_weights.h"

#include <cmath>

#include "tensor/error.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

void check_mask(const Tensor& mask, int64_t width, const std::string& name, const std::string& source) {
  check_input(mask.rank() == 1 && mask.size(0) == 3 * width, "{}: {} has shape {}, expected {}", source, name,
              mask.shape(), Shape({3 * width}));
  const std::vector<float> values = mask.to(Dtype::f32).to_vector<float>();
  for (int64_t i = 0; i < 3 * width; ++i) {
    const bool key = i / width == 1;
    const float value = values[static_cast<size_t>(i)];
    check_input(value == (key ? 0.0f : 1.0f),
                "{}: {} holds {} at {}, but must be 1 over queries, 0 over keys and 1 over values", source,
                name, value, i);
  }
}

// The bias with zeros over its second third.
Tensor without_keys(const Tensor& bias) {
  const int64_t width = bias.size(0) / 3;
  const Tensor zeros = Tensor::zeros({width}, bias.dtype());
  return cat(std::vector{bias.slice(0, 0, width), zeros, bias.slice(0, 2 * width, 3 * width)}, 0);
}

}  // namespace

int64_t usual_rotary_heads(int64_t width) {
  if (width == 4096) return 32;
  return width % 64 == 0 ? width / 64 : 0;
}

int64_t rotary_head_width(const std::map<std::string, Tensor>& tensors, const std::string& source) {
  const auto found = tensors.find("rope_embed.periods");
  if (found == tensors.end()) return 0;
  const Tensor& periods = found->second;
  check_input(periods.rank() == 1 && periods.numel() > 0 && is_floating(periods.dtype()),
              "{}: rope_embed.periods is {} {}, expected a list of numbers", source, periods.dtype(),
              periods.shape());
  for (const float period : periods.to(Dtype::f32).to_vector<float>()) {
    check_input(std::isfinite(period) && period > 0, "{}: rope_embed.periods holds {}", source, period);
  }
  return 4 * periods.numel();
}

void settle_key_biases(std::map<std::string, Tensor>& tensors, int64_t depth, bool without_biases,
                       const std::string& source) {
  for (int64_t block = 0; block < depth; ++block) {
    const std::string qkv = fmt::format("blocks.{}.attn.qkv.", block);
    const auto weight = tensors.find(qkv + "weight");
    if (weight == tensors.end() || weight->second.rank() != 2 || weight->second.size(0) % 3 != 0) continue;
    const int64_t width = weight->second.size(0) / 3;
    if (const auto mask = tensors.find(qkv + "bias_mask"); mask != tensors.end()) {
      check_mask(mask->second, width, mask->first, source);
      tensors.erase(mask);
    }
    const auto bias = tensors.find(qkv + "bias");
    if (bias == tensors.end() && without_biases)
      tensors[qkv + "bias"] = Tensor::zeros({3 * width}, weight->second.dtype());
    else if (bias != tensors.end() && bias->second.rank() == 1 && bias->second.size(0) == 3 * width)
      bias->second = without_keys(bias->second);
  }
}

}  // namespace dinomaly
