#include "dinomaly/training/fit_whitening.h"

#include <fmt/format.h>

#include <vector>

#include "dinomaly/base/numbers.h"
#include "dinomaly/model/whitening.h"
#include "dinomaly/training/feature_table.h"

namespace dinomaly {

void fit_whitening(Dinomaly& model, FeatureStore& features) {
  FeatureExchange alone(features, single_process());
  fit_whitening(model, alone);
}

void fit_whitening(Dinomaly& model, FeatureExchange& features) {
  const Config& config = model.config();
  if (!config.feature_whitening) return;
  fmt::print("feature whitening of rank {}: {} encoded first\n", *config.feature_whitening,
             counted(features.size(), "training image is", "training images are"));
  const int64_t width = model.encoder().config().width;
  std::vector<WhiteningFit> fits;  // copies would share their sums
  for (size_t part = 0; part <= config.encoder_groups.size(); ++part) fits.emplace_back(width);
  features.for_each([&](const Features& one) {
    const std::vector<Tensor> parts = parts_of(one);
    for (size_t part = 0; part < parts.size(); ++part) fits[part].add(parts[part]);
  });
  Communicator& processes = features.processes();
  for (size_t part = 0; part < fits.size(); ++part) {
    Whitening found{Tensor::empty({width}), Tensor::empty({width, width})};
    if (processes.is_first())
      found = fits[part].compute(*config.feature_whitening, config.whitening_shrinkage);
    processes.broadcast(found.mean, 0);
    processes.broadcast(found.matrix, 0);
    model.whitening()->set(part, found);
  }
}

}  // namespace dinomaly
