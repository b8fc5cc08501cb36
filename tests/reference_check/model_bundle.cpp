#include "autograd/ops/ops.h"
#include "bundle.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/model.h"
#include "dinomaly/training/trainer.h"
#include "nn/optim/clip_grad_norm.h"

namespace dinomaly {

namespace {

using nlohmann::json;

Config config_of(const json& bundle, const Shape& images) {
  Config config = Config::with_preset(parse_preset(bundle.at("preset").get<std::string>()));
  config.target_blocks = bundle.at("target_blocks").get<std::vector<int64_t>>();
  config.encoder_groups = bundle.at("groups").get<std::vector<std::vector<int64_t>>>();
  config.decoder_groups = config.encoder_groups;
  config.decoder_depth = bundle.at("decoder_depth").get<int64_t>();
  config.remove_class_token = bundle.at("remove_class_token").get<bool>();
  json options = {{"context_recentering", bundle.at("context_recentering")}};
  for (const char* name : {"recentering", "bottleneck_width"}) {  // bundles since Dinomaly2 say them
    if (bundle.contains(name)) options[name] = bundle.at(name);
  }
  config.update_from_json(options, "bundle");
  config.iterations = bundle.at("total_steps").get<int64_t>();
  config.dropout = 0;
  config.image.resize_h = config.image.crop_h = images[2];
  config.image.resize_w = config.image.crop_w = images[3];
  return config;
}

void load_weights(Dinomaly& model, const SafeTensors& bundle, const EncoderWeights& encoder) {
  std::map<std::string, Tensor> values;
  for (const auto& [name, tensor] : encoder.tensors) values["encoder." + name] = tensor;
  for (const std::string& name : bundle.names()) {
    if (name.starts_with("weights/") && !name.starts_with("weights/encoder."))
      values[name.substr(8)] = bundle.get(name);
  }
  model.load_state_dict(values, bundle.path().string());
  model.encoder().set_requires_grad(false);
}

// (B, h w, D) -> the bundle's (B, D, h, w).
Tensor as_planes(const Tensor& tokens, int64_t rows, int64_t columns) {
  return tokens.transpose(1, 2).contiguous().reshape({tokens.size(0), tokens.size(2), rows, columns});
}

void check_forward(const Dinomaly& model, Encoder& encoder, const SafeTensors& bundle,
                   const CheckOptions& options, Verdict& verdict) {
  NoGrad no_recording;
  const double tolerance = verdict.by_dtype(1e-9, 1e-5, 3e-2);
  const Tensor images = bundle.get("images").to(options.dtype).to(options.device);
  const std::vector<int64_t>& targets = model.config().target_blocks;
  encoder.features(images, targets, [&](size_t index, const Variable& x) {
    verdict.relative("block", x.value(), bundle.get(fmt::format("expect/block.{}", targets[index])),
                     tolerance);
  });
  Generator generator;
  const Features features = model.encode(images);
  const Reconstruction result = model.reconstruct(features, generator);
  for (size_t g = 0; g < result.encoded.size(); ++g) {
    verdict.relative("en", as_planes(result.encoded[g], result.rows, result.columns),
                     bundle.get(fmt::format("expect/en.{}", g)), tolerance);
    verdict.relative("de", as_planes(result.decoded[g].value(), result.rows, result.columns),
                     bundle.get(fmt::format("expect/de.{}", g)), tolerance);
  }
  const AnomalyMaps maps = anomaly_maps(result, images.size(2), images.size(3), model.config());
  verdict.relative("map", maps.map, bundle.get("expect/map"), tolerance);
  verdict.relative("blurred", maps.blurred, bundle.get("expect/blurred"), tolerance);
  verdict.relative("score", maps.score, bundle.get("expect/score"), tolerance);
}

void check_training(Dinomaly& model, const SafeTensors& bundle, const json& bundle_config,
                    const CheckOptions& options, Verdict& verdict) {
  const Config& config = model.config();
  const auto parameters = model.trained_parameters();
  StableAdamW optimizer = make_optimizer(model);
  Generator generator;
  const int64_t steps = bundle_config.at("steps").get<int64_t>();
  const int64_t first_step = bundle_config.at("first_step").get<int64_t>();
  const Tensor losses = bundle.get("expect/loss"), norms = bundle.get("expect/grad_norm"),
               rates = bundle.get("expect/lr");
  for (int64_t i = 0; i < steps; ++i) {
    const Tensor images = bundle.get(fmt::format("train/images.{}", i)).to(options.dtype).to(options.device);
    const Reconstruction result = model.reconstruct(model.encode(images), generator);
    const double share = mining_share(config, first_step + i);
    const Variable loss = hard_mining_cosine_loss(result, share, config.mining_factor);
    optimizer.zero_grad();
    loss.backward();
    if (i == 0) {
      for (const auto& [name, parameter] : model.named_trained_parameters()) {
        verdict.relative("grad", parameter.grad(), bundle.get("expect/grad/" + name),
                         verdict.by_dtype(1e-9, 1e-5, -1));
      }
    }
    const double norm = grad_norm(parameters);
    const double rate = config.schedule()(first_step + i);
    const std::string when = i == 0 ? "" : " (later steps)";
    const double tolerance = i == 0 ? verdict.by_dtype(1e-9, 1e-5, 5e-2) : verdict.by_dtype(1e-9, 1e-4, -1);
    verdict.relative("loss" + when, loss.value(), losses.slice(0, i, i + 1), tolerance);
    verdict.relative("grad_norm" + when, Tensor::full({1}, norm, Dtype::f64), norms.slice(0, i, i + 1),
                     tolerance);
    verdict.absolute("lr", Tensor::full({1}, rate, Dtype::f64), rates.slice(0, i, i + 1), 1e-12);
    if (bundle.contains("expect/lr_first"))
      verdict.absolute("lr_first", Tensor::full({1}, rate * config.bottleneck_lr_factor, Dtype::f64),
                       bundle.get("expect/lr_first").slice(0, i, i + 1), 1e-12);
    optimizer.step(rate, clip_factor(norm, config.clip_norm));
  }
  for (const auto& [name, parameter] : model.named_trained_parameters()) {
    const Tensor expected = bundle.get("expect/trained/" + name).to(Dtype::f64);
    const Tensor moved = expected - bundle.get("weights/" + name).to(Dtype::f64);
    verdict.relative_to("trained", parameter.value(), expected, moved, verdict.by_dtype(1e-6, 5e-3, -1));
  }
}

}  // namespace

void check_model_bundle(const SafeTensors& bundle, const json& bundle_config, const CheckOptions& options,
                        Verdict& verdict) {
  const EncoderWeights encoder =
      load_encoder(load_weights_file(bundle.path()), bundle_config.at("heads").get<int64_t>());
  Dinomaly model(encoder.config, config_of(bundle_config, bundle.shape("images")));
  load_weights(model, bundle, encoder);
  model.to(options.dtype);
  model.to(options.device);
  check_forward(model, model.encoder(), bundle, options, verdict);
  check_training(model, bundle, bundle_config, options, verdict);
}

}  // namespace dinomaly
