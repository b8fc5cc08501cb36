#include "bench/flops.h"

namespace dinomaly {

Flops flops_of(const EncoderConfig& encoder, const Config& config, int64_t rows, int64_t columns) {
  const double patches = static_cast<double>(rows * columns);
  const double width = static_cast<double>(encoder.width), hidden = static_cast<double>(encoder.hidden);
  const double patch = static_cast<double>(encoder.patch), heads = static_cast<double>(encoder.heads);
  const auto product = [](double m, double n, double k) { return 2 * m * n * k; };

  const double tokens = patches + 1 + static_cast<double>(encoder.registers);
  const double ffn = encoder.ffn == EncoderConfig::Ffn::mlp ? 2 : 3;  // matrices of width x hidden
  const double block = product(tokens, 4 * width, width) + ffn * product(tokens, hidden, width) +
                       2 * product(tokens, tokens, width);  // q k^T and the weighted sum of v
  Flops flops;
  flops.encode = product(patches, width, 3 * patch * patch) +
                 block * static_cast<double>(config.target_blocks.back() + 1);

  const bool patches_only = config.remove_class_token || config.recentering == Recentering::anomalib;
  const double decoded = patches_only ? patches : tokens;
  const double fc = product(decoded, 4 * width, width);
  const double per_query =
      config.softmax_attention ? decoded : width / heads;  // linear: k^T v, then q times it
  const double decoder =
      static_cast<double>(config.decoder_depth) * (3 * fc + 2 * product(decoded, width, per_query));
  const double narrow = static_cast<double>(config.bottleneck_width);
  // The bottleneck's first layer needs no gradient of its input.
  const double first = narrow > 0 ? product(decoded, narrow, width) : fc;
  const double others = fc + (narrow > 0 ? product(decoded, 4 * width, narrow) : 0);
  flops.reconstruct = first + others + decoder;
  flops.reconstruct_backward = first + 2 * others + 2 * decoder;
  return flops;
}

}  // namespace dinomaly
