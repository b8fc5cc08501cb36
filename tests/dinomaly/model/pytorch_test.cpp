// The whole model against PyTorch: cases of tests/reference/make_model.py and make_nn.py.
#include <doctest/doctest.h>

#include <map>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/model.h"
#include "tests/module_case.h"

namespace dinomaly {
namespace {

constexpr double tolerance = 1e-10;

Tensor expected(const std::string& name) {
  static const SafeTensors file = SafeTensors::load(DINOMALY_SOURCE_DIR "/tests/reference/model.safetensors");
  return file.get(name).to(Dtype::f64);
}

std::map<std::string, Tensor> weights_of(const std::string& name) {
  const SafeTensors file = SafeTensors::load(DINOMALY_SOURCE_DIR "/tests/reference/model.safetensors");
  std::map<std::string, Tensor> weights;
  for (const std::string& key : file.names()) {
    if (key.starts_with(name + "/p.")) weights[key.substr(name.size() + 3)] = file.get(key).to(Dtype::f64);
  }
  return weights;
}

// What make_model.py holds in capital letters.
EncoderConfig small_encoder(int64_t registers, bool layer_scale, bool gated) {
  EncoderConfig encoder;
  encoder.width = 8, encoder.heads = 2, encoder.depth = 6, encoder.patch = 4;
  encoder.grid_h = 3, encoder.grid_w = 4;
  encoder.registers = registers, encoder.layer_scale = layer_scale;
  encoder.hidden = gated ? 6 : 12;
  encoder.ffn = gated ? EncoderConfig::Ffn::swiglu_fused : EncoderConfig::Ffn::mlp;
  return encoder;
}

Config small_config(Preset preset, double score_ratio) {
  Config config = Config::with_preset(preset);
  config.target_blocks = {1, 2, 4, 5};
  config.encoder_groups = {{0, 1, 1}, {2, 3}};
  config.decoder_groups = {{0, 1}, {2, 3}};
  config.decoder_depth = 4;
  config.image.resize_h = config.image.crop_h = 20;
  config.image.resize_w = config.image.crop_w = 24;
  config.map_size = 16, config.blur_sigma = 1.5, config.score_ratio = score_ratio;
  return config;
}

void check_model(const std::string& name, const EncoderConfig& encoder, const Config& config) {
  CAPTURE(name);
  const auto is = [&](const Tensor& x, const std::string& what) {
    INFO(what);
    CHECK(relative_distance(x, expected(name + "/" + what)) < tolerance);
  };
  Dinomaly model(encoder, config);
  model.to(Dtype::f64);
  model.load_state_dict(weights_of(name), name);
  model.encoder().set_requires_grad(false);
  model.eval();

  const Tensor images = expected(name + "/images");
  model.encoder().features(images, config.target_blocks, [&](size_t index, const Variable& x) {
    is(x.value(), fmt::format("block.{}", config.target_blocks[index]));
  });
  Generator generator;
  const Reconstruction result = model.reconstruct(model.encode(images), generator);
  for (size_t g = 0; g < 2; ++g) {
    is(result.encoded[g], fmt::format("encoded.{}", g));
    is(result.decoded[g].value(), fmt::format("decoded.{}", g));
  }
  const AnomalyMaps maps = anomaly_maps(result, images.size(2), images.size(3), config);
  is(maps.map, "map");
  is(maps.blurred, "blurred");
  is(maps.score, "score");

  const Variable loss = hard_mining_cosine_loss(result, 0.34, 0.1);
  is(loss.value(), "loss");
  loss.backward();
  for (const auto& [path, parameter] : model.named_trained_parameters()) {
    CAPTURE(path);
    REQUIRE(parameter.grad().defined());
    is(parameter.grad(), "grad." + path);
  }
}

}  // namespace

TEST_CASE("model: features, reconstruction, maps, loss and gradients are PyTorch's") {
  check_model("paper", small_encoder(2, true, false), small_config(Preset::paper, 0.03));
  Config recentred = small_config(Preset::anomalib, 0);
  recentred.recentering = Recentering::anomalib;
  check_model("anomalib", small_encoder(0, false, true), recentred);
  Config patches_only = small_config(Preset::paper, 0.01);
  patches_only.remove_class_token = true;
  check_model("patches_only", small_encoder(1, false, false), patches_only);
  Config second = small_config(Preset::dinomaly2, 0.02);
  second.bottleneck_width = 5;
  check_model("dinomaly2", small_encoder(2, true, false), second);
}

TEST_CASE("model: blocks of both kinds are PyTorch's where their norms' eps counts") {
  EncoderConfig encoder;
  encoder.width = 8, encoder.heads = 2, encoder.hidden = 12, encoder.layer_scale = true;
  EncoderBlock plain(encoder);
  check_module(
      "encoder_block", plain, [&](const Variable& x) { return plain(x, {}); }, 1e-11);
  encoder.heads = 1, encoder.hidden = 6, encoder.layer_scale = false;
  encoder.ffn = EncoderConfig::Ffn::swiglu_fused;
  EncoderBlock gated(encoder);
  check_module(
      "encoder_block_swiglu", gated, [&](const Variable& x) { return gated(x, {}); }, 1e-11);
  for (const Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    Config config = Config::with_preset(preset);
    if (preset == Preset::dinomaly2) config.bottleneck_width = 5;
    DecoderBlock block(8, 2, config);
    check_module(
        "decoder_block_" + name_of(preset), block, [&](const Variable& x) { return block(x); }, 1e-11);
    Bottleneck bottleneck(6, config);
    bottleneck.eval();
    Generator generator;
    check_module("bottleneck_" + name_of(preset), bottleneck,
                 [&](const Variable& x) { return bottleneck(x, generator); });
  }
}

TEST_CASE("model: the noisy bottleneck drops before, between and after its layers") {
  Config config;
  config.dropout = 0.4;
  Bottleneck bottleneck(6, config);
  Generator weights(1), drawn(2), again(2);
  for (const Variable& parameter : bottleneck.parameters())
    parameter.value().copy_from(Tensor::uniform(parameter.shape(), -1, 1, weights));
  const auto p = bottleneck.state_dict();
  std::map<std::string, Variable> w;
  for (const auto& [name, value] : p) w[name.substr(2)] = Variable(value);
  const Variable x(Tensor::uniform({3, 5, 6}, -1, 1, weights));
  const auto dropped = [&](const Variable& value) { return dropout(value, 0.4, again); };
  const Variable hidden = dropped(gelu(linear(dropped(x), w.at("fc1.weight"), w.at("fc1.bias"))));
  const Variable by_hand = dropped(linear(hidden, w.at("fc2.weight"), w.at("fc2.bias")));
  CHECK(relative_distance(bottleneck(x, drawn).value(), by_hand.value()) < 1e-6);
  CHECK(drawn.offset() == again.offset());
}

TEST_CASE("model: the narrow bottleneck drops after each of its layers, and nothing of its input") {
  Config config = Config::with_preset(Preset::dinomaly2);
  config.bottleneck_width = 5;
  CHECK(config.dropout == 0.4);
  Bottleneck bottleneck(6, config);
  Generator weights(1), drawn(2), again(2);
  for (const Variable& parameter : bottleneck.parameters())
    parameter.value().copy_from(Tensor::uniform(parameter.shape(), -1, 1, weights));
  std::map<std::string, Variable> w;
  for (const auto& [name, value] : bottleneck.state_dict()) w[name] = Variable(value);
  CHECK(w.size() == 6);
  const Variable x(Tensor::uniform({3, 7, 6}, -1, 1, weights));
  const auto dropped = [&](const Variable& value) { return dropout(value, 0.4, again); };
  const auto layer = [&](const Variable& in, const std::string& name) {
    return linear(in, w.at(name + ".weight"), w.at(name + ".bias"));
  };
  const Variable hidden = dropped(gelu(layer(dropped(layer(x, "0.0")), "1.0")));
  CHECK(relative_distance(bottleneck(x, drawn).value(), dropped(layer(hidden, "1.3")).value()) < 1e-6);
  CHECK(drawn.offset() == again.offset());
  const Variable quiet = layer(gelu(layer(layer(x, "0.0"), "1.0")), "1.3");
  CHECK(relative_distance(bottleneck(x).value(), quiet.value()) < 1e-6);
}

}  // namespace dinomaly
