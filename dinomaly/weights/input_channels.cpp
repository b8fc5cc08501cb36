#include "dinomaly/weights/input_channels.h"

#include <utility>
#include <vector>

#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/ops.h"

namespace dinomaly {

Tensor inflated_patch_embedding(const Tensor& weight, int64_t channels) {
  check(weight.rank() == 4 && weight.size(1) == 3 && channels > 0,
        "inflated_patch_embedding: {} to {} channels", weight.shape(), channels);
  const Tensor wide = weight.dtype() == Dtype::f64 ? weight : weight.to(Dtype::f32);
  const auto channel = [&](int64_t c) { return wide.slice(1, c, c + 1); };
  if (channels == 1) return (channel(0) + channel(1) + channel(2)).to(weight.dtype());
  std::vector<Tensor> parts;
  for (int64_t c = 0; c < channels; ++c) parts.push_back(channel(c % 3));
  return (cat(parts, 1) * (3.0 / static_cast<double>(channels))).to(weight.dtype());
}

EncoderWeights with_channels(EncoderWeights weights, int64_t channels, const std::string& source) {
  const int64_t own = weights.config.channels;
  if (own == channels) return weights;
  check_input(
      own == 3,
      "{}: the encoder takes images of {}, not of {}; only one that takes 3 can be made to take others",
      source, counted(own, "channel"), channels);
  for (auto& [name, tensor] : weights.tensors) {
    if (name == "patch_embed.proj.weight") tensor = inflated_patch_embedding(tensor, channels);
  }
  weights.config.channels = channels;
  return weights;
}

}  // namespace dinomaly
