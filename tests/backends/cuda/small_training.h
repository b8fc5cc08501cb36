// A training that takes a moment, on any device.
#pragma once

#include <memory>
#include <optional>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/model/model.h"
#include "dinomaly/synthetic/procedural.h"
#include "dinomaly/training/feature_store.h"
#include "dinomaly/training/fit_whitening.h"
#include "tests/dinomaly/tiny_encoder.h"
#include "tests/support.h"

namespace dinomaly {

// Eight images, a short schedule in which the learning rate and the share of mined points change
// at each step.
struct Training {
  std::unique_ptr<Dinomaly> model;
  std::unique_ptr<FeatureStore> features;

  Training(Dtype dtype, Device device, std::optional<int64_t> whitening = {},
           const FeatureOptions& feature_options = {}) {
    const TemporaryFolder folder;
    ProceduralOptions options;
    options.size = 64, options.train = 8, options.good = 1, options.per_defect = 1;
    options.categories = {"weave"};
    make_dataset(folder / "data", options);
    Config config;
    config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = 56;
    config.batch = 3, config.iterations = 40, config.warmup_steps = 4, config.mining_steps = 12;
    config.decoder_depth = 2, config.decoder_groups = {{0}, {1}};
    config.target_blocks = {0, 1, 2, 3}, config.encoder_groups = {{0, 1}, {2, 3}};
    config.dropout = 0.3, config.seed = 5;
    config.feature_whitening = whitening;
    const EncoderWeights encoder = tiny_encoder();
    model = std::make_unique<Dinomaly>(encoder.config, config);
    load_encoder_weights(model->encoder(), encoder, "random encoder");
    model->to(dtype);
    model->to(device);
    const Dataset data = read_mvtec(folder / "data", {});
    features = std::make_unique<FeatureStore>(*model, training_samples(data), 4, feature_options);
    features->complete();  // the images go with the folder
    fit_whitening(*model, *features);
  }
};

}  // namespace dinomaly
