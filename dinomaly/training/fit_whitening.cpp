#include "dinomaly/training/fit_whitening.h"

#include <fmt/format.h>

#include <vector>

#include "dinomaly/base/numbers.h"
#include "dinomaly/model/whitening.h"

namespace dinomaly {

void fit_whitening(Dinomaly& model, FeatureStore& features) {
  const Config& config = model.config();
  if (!config.feature_whitening) return;
  fmt::print("feature whitening of rank {}: {} encoded first\n", *config.feature_whitening,
             counted(features.size(), "training image is", "training images are"));
  features.complete();
  std::vector<WhiteningFit> fits;
  for (size_t part = 0; part <= config.encoder_groups.size(); ++part)
    fits.emplace_back(model.encoder().config().width);
  for (int64_t image = 0; image < features.size(); ++image) {
    const Features one = features.gather_raw({image}, image);  // if images are varied, each in its own way
    fits[0].add(one.bottleneck_input);
    for (size_t g = 0; g < one.encoded.size(); ++g) fits[1 + g].add(one.encoded[g]);
  }
  for (size_t part = 0; part < fits.size(); ++part)
    model.whitening()->set(part, fits[part].compute(*config.feature_whitening, config.whitening_shrinkage));
}

}  // namespace dinomaly
