#include "dinomaly/download/named_encoders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

#define DINOV2 "https://dl.fbaipublicfiles.com/dinov2/"
constexpr NamedEncoder encoders[] = {
    {"dinov2-small", DINOV2 "dinov2_vits14/dinov2_vits14_pretrain.pth", 384, 12, 0, 88},
    {"dinov2-base", DINOV2 "dinov2_vitb14/dinov2_vitb14_pretrain.pth", 768, 12, 0, 346},
    {"dinov2-large", DINOV2 "dinov2_vitl14/dinov2_vitl14_pretrain.pth", 1024, 24, 0, 1218},
    {"dinov2-small-reg", DINOV2 "dinov2_vits14/dinov2_vits14_reg4_pretrain.pth", 384, 12, 4, 88},
    {"dinov2-base-reg", DINOV2 "dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth", 768, 12, 4, 346},
    {"dinov2-large-reg", DINOV2 "dinov2_vitl14/dinov2_vitl14_reg4_pretrain.pth", 1024, 24, 4, 1218},
};
#undef DINOV2

}  // namespace

std::span<const NamedEncoder> named_encoders() { return encoders; }

const NamedEncoder* find_named_encoder(std::string_view name) {
  const auto found = std::find_if(std::begin(encoders), std::end(encoders),
                                  [&](const NamedEncoder& encoder) { return encoder.name == name; });
  return found == std::end(encoders) ? nullptr : found;
}

const NamedEncoder& named_encoder(const std::string& name) {
  if (const NamedEncoder* found = find_named_encoder(name)) return *found;
  std::vector<std::string> names;
  for (const NamedEncoder& encoder : encoders) names.emplace_back(encoder.name);
  fail_input("there is no encoder '{}': the names are {}{}", printable(name), fmt::join(names, ", "),
             did_you_mean(name, names));
}

}  // namespace dinomaly
