// A detector in 8 bits: near the one it was made of, the same from its file, and hostile files of its kind.
#include "dinomaly/model/quantized_weights.h"

#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/model/detector_export.h"
#include "dinomaly/model/model_file.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/dinomaly/small_model.h"
#include "tests/module_case.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

Tensor some_images(int64_t side, uint64_t seed) {
  Generator generator(seed);
  return Tensor::normal({2, 3, side, side}, 0, 1, generator);
}

Tensor map_of(const Dinomaly& model, const Tensor& images) {
  return anomaly_maps(model.reconstruct(model.encode(images)), images.size(2), images.size(3), model.config())
      .map;
}

void refuses(const std::function<void(std::map<std::string, Tensor>&)>& change, const std::string& expected) {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  small.model->eval();
  quantize(*small.model, {some_images(12, 1)});
  save_model(folder / "model", *small.model, small.encoder.config);
  const SafeTensors file = SafeTensors::load(folder / "model");
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = file.get(name);
  change(tensors);
  save_safetensors(folder / "changed", {tensors.begin(), tensors.end()}, file.metadata());
  const std::string message = input_error([&] { load_detector(folder / "changed"); });
  CHECK_MESSAGE(one_line_with(message, expected), message);
}

}  // namespace

TEST_CASE("int8: a detector is near the one it was made of, and the same again from its file") {
  const TemporaryFolder folder;
  for (const Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    CAPTURE(name_of(preset));
    const auto model = small_model(56, preset);
    model->eval();
    const Tensor images = some_images(56, 2);
    const Tensor expected = map_of(*model, images);
    CHECK_FALSE(is_quantized(*model));
    quantize(*model, {some_images(56, 3), some_images(56, 4)});
    CHECK(is_quantized(*model));
    const Tensor found = map_of(*model, images);
    CHECK(relative_distance(found, expected) < 0.05);
    save_model(folder / "model", *model, model->encoder().config());
    const Detector loaded = load_detector(folder / "model");
    CHECK(is_quantized(*loaded.model));
    CHECK(map_of(*loaded.model, images).to_vector<float>() == found.to_vector<float>());
    save_model(folder / "again", *loaded.model, model->encoder().config());
    CHECK(read_file(folder / "again", 1 << 26) == read_file(folder / "model", 1 << 26));
  }
}

TEST_CASE("int8: the file leaves out the blocks that no image passes through, and no other") {
  const TemporaryFolder folder;
  Config config = Config::with_preset(Preset::paper);
  config.image.crop_h = config.image.crop_w = config.image.resize_h = config.image.resize_w = 56;
  config.target_blocks = {0, 2};
  const EncoderWeights encoder = tiny_encoder();
  REQUIRE(encoder.config.depth > 3);
  Dinomaly model(encoder.config, config);
  load_encoder_weights(model.encoder(), encoder, "random encoder");
  model.eval();
  const Tensor images = some_images(56, 2);
  quantize(model, {images});
  save_model(folder / "model", model, encoder.config);
  const SafeTensors file = SafeTensors::load(folder / "model");
  for (int64_t block = 0; block < encoder.config.depth; ++block)
    CHECK(file.contains(fmt::format("encoder.blocks.{}.norm1.weight", block)) == (block <= 2));
  const Detector loaded = load_detector(folder / "model");
  CHECK(map_of(*loaded.model, images).to_vector<float>() == map_of(model, images).to_vector<float>());
}

TEST_CASE("int8: hostile files of its kind are one clear line") {
  const std::string layer = "decoder.3.attn.qkv";
  refuses([&](auto& t) { t.erase(layer + ".weight_scale"); }, "'decoder.3.attn.qkv.weight_scale' is missing");
  refuses([&](auto& t) { t[layer + ".weight_scale"] = Tensor::ones({5}); }, "is f32 (5), expected f32 (24)");
  refuses([&](auto& t) { t[layer + ".weight_scale"] = Tensor::ones({24}, Dtype::f64); }, "expected f32 (24)");
  refuses([&](auto& t) { t[layer + ".input_scale"] = Tensor::ones({24}); }, "expected f32 (8)");
  refuses(
      [&](auto& t) {
        t[layer + ".weight"] = Tensor::ones({24, 8});
        t.erase(layer + ".weight_scale");
        t.erase(layer + ".input_scale");
      },
      "'decoder.3.attn.qkv.weight' is not i8, as the other linear layers are");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refuses([&](auto& t) { t[layer + ".input_scale"] = Tensor::full({8}, nan); }, "not finite");
  refuses([&](auto& t) { t[layer + ".weight"] = Tensor::ones({8, 8}, Dtype::i8); }, "expected f32 (8)");
  refuses([&](auto& t) { t[layer + ".bias"] = Tensor::ones({24}, Dtype::i8); }, "only weights of two axes");
  refuses(
      [&](auto& t) {
        t["encoder.cls_token"] = Tensor::ones({1, 1, 8}, Dtype::i8);
      },
      "only weights of two");
  refuses([&](auto& t) { t[layer + ".weight"] = Tensor::ones({24, 8}); }, "2 unexpected");
  refuses(
      [&](auto& t) {
        t["encoder.pos_embed.weight"] = Tensor::ones({2, 2}, Dtype::i8);
        t["encoder.pos_embed.weight_scale"] = Tensor::ones({2});
      },
      "unexpected");
}

TEST_CASE("int8: what needs the weights as they were refuses the file") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  small.model->eval();
  quantize(*small.model, {some_images(12, 1)});
  save_model(folder / "model", *small.model, small.encoder.config);
  const auto refused = [&](const auto& function) {
    const std::string message = input_error(function);
    CHECK_MESSAGE(one_line_with(message, "int8"), message);
  };
  refused([&] { load_encoder(load_weights_file(folder / "model")); });
  refused([&] { export_detector(folder / "x", load_detector(folder / "model"), DetectorKind::authors); });
  CHECK_FALSE(std::filesystem::exists(folder / "x"));
  refused([&] { save_model(folder / "x", *small.model, small.encoder.config, {.slim = true}); });
}

}  // namespace dinomaly
