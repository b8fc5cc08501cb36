// DINOv3 encoders go to timm and transformers and come from them: their own readers take every tensor, and every block
// computes the same. Runs where $DINOMALY_PYTHON, or python3, has torch, safetensors and the package.
#include <doctest/doctest.h>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/weights/encoder_naming.h"
#include "nn/init.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/model/python.h"
#include "tests/module_case.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

struct Package {
  std::string name;
  Naming naming;
};
const Package packages[] = {{"timm", Naming::timm}, {"transformers", Naming::transformers}};
const std::string feed_forwards[] = {"gelu", "swiglu"};
constexpr int64_t tiny_heads = 2;

// The shape that dinov3_packages.py builds. Every tensor is drawn but the biases of the keys, which neither package has.
EncoderWeights drawn_encoder(const std::string& feed_forward) {
  EncoderConfig shape;
  shape.width = 32, shape.heads = tiny_heads, shape.depth = 3, shape.patch = 16, shape.registers = 4;
  shape.rotary = true, shape.cls_in_position_table = false, shape.norm_eps = 1e-5, shape.layer_scale = true;
  if (feed_forward == "swiglu") shape.ffn = EncoderConfig::Ffn::swiglu_fused;
  shape.hidden = feed_forward == "swiglu" ? 48 : 128;
  Generator generator(5);
  EncoderWeights weights = random_encoder(shape, generator);
  for (auto& [name, tensor] : weights.tensors) {
    if (name.ends_with("periods") || name.ends_with("bias_mask")) continue;
    const double around = tensor.shape().rank() == 1 && !name.ends_with("bias") ? 1 : 0;
    tensor = Tensor::normal(tensor.shape(), around, 0.2, generator);
    if (name.ends_with("qkv.bias")) tensor.slice(0, shape.width, 2 * shape.width).fill(0);
  }
  weights.unused = {{"norm.weight", Tensor::ones({32})},
                    {"norm.bias", Tensor::zeros({32})},
                    {"mask_token", Tensor::zeros({1, 32})}};
  return weights;
}

std::map<std::string, Tensor> tensors_of(const SafeTensors& file) {
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = file.get(name);
  return tensors;
}

void check_blocks(const EncoderWeights& weights, const SafeTensors& theirs) {
  Encoder encoder(weights.config, Preset::paper);
  load_encoder_weights(encoder, weights, "encoder");
  encoder.features(Variable(theirs.get("images")), {0, 1, 2}, [&](size_t block, const Variable& x) {
    CAPTURE(block);
    CHECK(relative_distance(x.value(), theirs.get(fmt::format("block.{}", block))) < 1e-5);
  });
}

// False, after a message, where the package is not installed.
bool run(const std::string& task, const std::string& package, const std::string& feed_forward,
         const std::filesystem::path& encoder, const std::filesystem::path& io) {
  const int status =
      run_python("dinov3_packages.py",
                 fmt::format("{} {} {} {} {}", task, package, feed_forward, encoder.string(), io.string()));
  if (status == package_missing)
    skip(fmt::format("no Python with {}; scripts/exchange_env.sh installs it", package));
  else
    REQUIRE(status == 0);
  return status == 0;
}

}  // namespace

TEST_CASE("DINOv3 encoders written here are read by timm and transformers, and compute the same") {
  const TemporaryFolder folder;
  const auto file = folder / "encoder.safetensors", io = folder / "io.safetensors";
  Generator generator(2);
  const Tensor images = Tensor::normal({2, 3, 48, 80}, 0, 1, generator);
  for (const auto& [package, naming] : packages) {
    for (const std::string& feed_forward : feed_forwards) {
      CAPTURE(package);
      CAPTURE(feed_forward);
      const EncoderWeights weights = drawn_encoder(feed_forward);
      save_safetensors(file, named_as(weights, naming));
      save_safetensors(io, {{"images", images}});
      if (!run("run", package, feed_forward, file, io)) break;
      check_blocks(weights, SafeTensors::load(io));
    }
  }
}

TEST_CASE("DINOv3 encoders saved by timm and transformers are read here, and compute the same") {
  const TemporaryFolder folder;
  const auto file = folder / "encoder.safetensors", io = folder / "io.safetensors";
  for (const auto& [package, naming] : packages) {
    for (const std::string& feed_forward : feed_forwards) {
      CAPTURE(package);
      CAPTURE(feed_forward);
      if (!run("save", package, feed_forward, file, io)) break;
      const EncoderWeights weights = load_encoder(tensors_of(SafeTensors::load(file)), package, tiny_heads);
      CHECK(weights.config == drawn_encoder(feed_forward).config);
      check_blocks(weights, SafeTensors::load(io));
    }
  }
}

}  // namespace dinomaly
