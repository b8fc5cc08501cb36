// DINOv3 encoders against PyTorch (tests/reference/make_dinov3.py), and in the three libraries' names.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/model/model.h"
#include "dinomaly/weights/encoder_hash.h"
#include "dinomaly/weights/encoder_naming.h"
#include "dinomaly/weights/rope_periods.h"
#include "dinomaly/weights/rotary_weights.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/module_case.h"

namespace dinomaly {
namespace {

using Tensors = std::map<std::string, Tensor>;

const SafeTensors& dinov3_file() {
  static const SafeTensors file =
      SafeTensors::load(DINOMALY_SOURCE_DIR "/tests/reference/dinov3.safetensors");
  return file;
}

// Meta's tensors of a case, "gelu" or "swiglu".
Tensors dinov3_tensors(const std::string& name) {
  Tensors tensors;
  for (const std::string& key : dinov3_file().names()) {
    if (key.starts_with(name + "/p.")) tensors[key.substr(name.size() + 3)] = dinov3_file().get(key);
  }
  return tensors;
}

EncoderWeights dinov3_weights(const std::string& name) {
  EncoderWeights weights = load_encoder(dinov3_tensors(name), name, 2);
  weights.unused = {{"norm.weight", Tensor::full({16}, 2)}, {"norm.bias", Tensor::ones({16})}};
  return weights;
}

// The largest relative distance of any block's output from PyTorch's.
double distance_to_pytorch(const EncoderWeights& weights, const std::string& name, Dtype dtype) {
  Encoder encoder(weights.config, Preset::paper);
  load_encoder_weights(encoder, weights, name);
  encoder.to(dtype);
  double largest = 0;
  for (const std::string grid :
       {"3x5", "5x3", "3x5"}) {  // the first again, after the tables were of another grid
    const std::string place = fmt::format("{}/{}", name, grid);
    const Variable images(dinov3_file().get(place + "/images").to(dtype));
    encoder.features(images, {0, 1, 2}, [&](size_t block, const Variable& x) {
      const Tensor expected = dinov3_file().get(fmt::format("{}/block.{}", place, block));
      largest = std::max(largest, relative_distance(x.value(), expected));
    });
  }
  return largest;
}

std::string loading_error(const Tensors& tensors, int64_t heads = 2) {
  return input_error([&] { load_encoder(tensors, "file", heads); });
}

}  // namespace

TEST_CASE("DINOv3: every block is PyTorch's, with GELU and SwiGLU, stored and computed periods") {
  for (const std::string name : {"gelu", "swiglu"}) {
    CAPTURE(name);
    const EncoderWeights weights = dinov3_weights(name);
    CHECK(weights.config.rotary);
    CHECK(weights.config.norm_eps == 1e-5);
    CHECK(weights.config.registers == 2);
    CHECK(distance_to_pytorch(weights, name, Dtype::f64) < 1e-12);
    CHECK(distance_to_pytorch(weights, name, Dtype::f32) < 1e-5);
  }
}

// The check of the published facts: d = 64, grid 2 x 3, patch 0, at y = -1/2 and x = -2/3.
TEST_CASE("DINOv3: sines and cosines of the first patch") {
  const Tensor periods = rope_periods(64);
  const auto angle = [&](int64_t j) {
    const double at = j % 32 < 16 ? -0.5 : -2.0 / 3;
    return 2 * 3.14159265358979323846 * at / static_cast<double>(periods.data<float>()[j % 16]);
  };
  const std::vector<std::tuple<int64_t, double, double>> expected{
      {0, 0, -1},         {1, -.707342, -.706872}, {15, -.041882, .999123},
      {16, .866025, -.5}, {17, -.000443, -1},      {31, -.055829, .998440},
      {32, 0, -1},        {63, -.055829, .998440}};
  for (const auto& [index, sine, cosine] : expected) {
    CAPTURE(index);
    CHECK(std::sin(angle(index)) == doctest::Approx(sine).epsilon(1e-6).scale(1));
    CHECK(std::cos(angle(index)) == doctest::Approx(cosine).epsilon(1e-6).scale(1));
  }
}

TEST_CASE("DINOv3: an encoder goes to every library's names and comes back, in each with the same bits") {
  for (const std::string name : {"gelu", "swiglu"}) {
    EncoderWeights weights = dinov3_weights(name);
    weights.unused["mask_token"] = Tensor::ones({1, 16});
    for (const Naming naming : {Naming::meta, Naming::timm, Naming::transformers}) {
      CAPTURE(static_cast<int>(naming));
      const NamedTensors named = named_as(weights, naming);
      const Tensors tensors(named.begin(), named.end());
      CHECK(tensors.contains("blocks.0.attn.qkv.bias_mask") == (naming == Naming::meta));
      CHECK(tensors.contains("blocks.0.attn.q_bias") == (naming == Naming::timm));
      CHECK(tensors.contains("layer.0.attention.q_proj.bias") == (naming == Naming::transformers));
      CHECK_FALSE(tensors.contains("layer.0.attention.k_proj.bias"));
      CHECK(drops_periods(weights, naming) == (name == "gelu" && naming != Naming::meta));
      const EncoderWeights back = load_encoder(tensors, "back", 2);
      CHECK(back.config == weights.config);
      CHECK(back.unused.contains("mask_token") == (naming != Naming::timm));
      if (!drops_periods(weights, naming))
        CHECK(encoder_sha256(back.tensors) == encoder_sha256(weights.tensors));
    }
  }
}

TEST_CASE("DINOv3: transformers' two spellings, prefixes, and what is ignored") {
  const EncoderWeights weights = dinov3_weights("swiglu");
  const std::string hash = encoder_sha256(weights.tensors);
  Tensors in_memory;
  for (const auto& [name, tensor] : named_as(weights, Naming::transformers))
    in_memory[name.starts_with("layer.") ? "model." + name : name] = tensor;
  CHECK(encoder_sha256(load_encoder(in_memory, "file", 2).tensors) == hash);
  for (const std::string prefix : {"model.", "teacher.backbone.", "encoder."}) {
    Tensors prefixed;
    for (const auto& [name, tensor] : in_memory) prefixed[prefix + name] = tensor;
    CHECK(encoder_sha256(load_encoder(prefixed, "file", 2).tensors) == hash);
  }
  Tensors meta = dinov3_tensors("swiglu");
  for (const char* extra : {"mask_token", "norm.weight", "local_cls_norm.weight", "cls_norm.bias",
                            "projectors.0.weight", "head.weight"})
    meta[extra] = Tensor::ones({16});
  CHECK(encoder_sha256(load_encoder(meta, "file", 2).tensors) == hash);
  meta["pooler.weight"] = Tensor::ones({16});
  CHECK(one_line_with(loading_error(meta), "1 unexpected (pooler.weight)"));
}

TEST_CASE("DINOv3: a key bias does not matter, and neither does it matter that there is no bias") {
  Tensors tensors = dinov3_tensors("gelu");
  const std::string hash = encoder_sha256(load_encoder(tensors, "file", 2).tensors);
  for (int64_t block = 0; block < 3; ++block) {
    const std::string qkv = fmt::format("blocks.{}.attn.qkv.bias", block);
    Tensor other = tensors.at(qkv).clone();
    other.slice(0, 16, 32).fill(7);
    tensors[qkv] = other;
    tensors.erase(qkv + "_mask");
  }
  CHECK(encoder_sha256(load_encoder(tensors, "file", 2).tensors) == hash);

  const Tensors whole = dinov3_tensors("gelu");
  Tensors without = whole, zeros = whole;
  for (int64_t block = 0; block < 3; ++block) {
    const std::string qkv = fmt::format("blocks.{}.attn.qkv.bias", block);
    without.erase(qkv), without.erase(qkv + "_mask");
    zeros[qkv] = Tensor::zeros({48}, Dtype::bf16);
  }
  const EncoderWeights plain = load_encoder(without, "file", 2);
  CHECK(encoder_sha256(plain.tensors) == encoder_sha256(load_encoder(zeros, "file", 2).tensors));
  for (const Naming naming : {Naming::meta, Naming::timm, Naming::transformers}) {
    const NamedTensors named = named_as(plain, naming);
    CHECK(std::none_of(named.begin(), named.end(), [](const auto& entry) {
      return entry.first.find("qkv.bias") != std::string::npos ||
             entry.first.find("_bias") != std::string::npos || entry.first.ends_with("q_proj.bias");
    }));
    CHECK(encoder_sha256(load_encoder({named.begin(), named.end()}, "file", 2).tensors).size() == 64);
  }
}

TEST_CASE("DINOv3: a bias that is missing in one block only is missing") {
  for (const Naming naming : {Naming::meta, Naming::timm, Naming::transformers}) {
    const NamedTensors named = named_as(load_encoder(dinov3_tensors("gelu"), "file", 2), naming);
    for (const auto& [name, tensor] : named) {
      if (name.find("bias") == std::string::npos || name.ends_with("bias_mask")) continue;
      Tensors tensors(named.begin(), named.end());
      tensors.erase(name);
      CHECK_MESSAGE(one_line_with(loading_error(tensors), "1 missing ("), name);
    }
  }
}

TEST_CASE("DINOv3: what does not fit is named") {
  const auto changed = [](const std::function<void(Tensors&)>& change, int64_t heads = 2) {
    Tensors tensors = dinov3_tensors("gelu");
    change(tensors);
    return loading_error(tensors, heads);
  };
  const std::string mask = "blocks.1.attn.qkv.bias_mask";
  CHECK(one_line_with(changed([&](Tensors& t) { t[mask] = Tensor::full({48}, NAN); }),
                      mask + " holds nan at 0"));
  CHECK(one_line_with(changed([&](Tensors& t) { t[mask] = Tensor::ones({48}); }), mask + " holds 1 at 16"));
  CHECK(one_line_with(changed([&](Tensors& t) { t[mask] = Tensor::ones({16}); }), mask + " has shape (16)"));
  CHECK(one_line_with(changed([](Tensors& t) { t["rope_embed.periods"] = Tensor::zeros({2}); }),
                      "rope_embed.periods holds 0"));
  CHECK(one_line_with(changed([](Tensors&) {}, 4), "rope_embed.periods"));
  CHECK(one_line_with(changed([](Tensors& t) { t.erase("rope_embed.periods"); }, 8), "a multiple of 4"));
  CHECK(one_line_with(changed([](Tensors& t) { t.erase("rope_embed.periods"); }, 0), "must be given"));
  CHECK(changed([](Tensors&) {}, 0).empty());  // the periods say how wide a head is
  CHECK(one_line_with(changed([](Tensors& t) { t["reg_token"] = t["storage_tokens"]; }),
                      "names of two libraries in one encoder: 'blocks.0.attn.qkv.bias_mask' is Meta's, but "
                      "'reg_token' is timm's"));
  CHECK(one_line_with(changed([](Tensors& t) { t["layer.0.norm1.weight"] = Tensor::ones({16}); }),
                      "transformers'"));
  CHECK(one_line_with(changed([](Tensors& t) { t.erase("storage_tokens"), t.erase("cls_token"); }),
                      "cls_token"));
}

TEST_CASE("DINOv3: a mixture of two namings, or of two spellings, names both") {
  const auto weights = dinov3_weights("swiglu");
  const auto named = [&](Naming naming) {
    const NamedTensors tensors = named_as(weights, naming);
    return Tensors(tensors.begin(), tensors.end());
  };
  const auto with = [](Tensors tensors, const Tensors& others) {
    tensors.insert(others.begin(), others.end());
    return loading_error(tensors);
  };
  const std::string meta_and_timm = with(named(Naming::meta), named(Naming::timm));
  CHECK_MESSAGE(one_line_with(meta_and_timm, "names of two libraries in one encoder"), meta_and_timm);
  CHECK_MESSAGE((meta_and_timm.find("is Meta's") != std::string::npos &&
                 meta_and_timm.find("is timm's") != std::string::npos),
                meta_and_timm);
  const std::string with_transformers = with(named(Naming::timm), named(Naming::transformers));
  CHECK_MESSAGE(one_line_with(with_transformers, "is transformers'"), with_transformers);

  // Two spellings of one library, of the same block and of another.
  for (const char* block : {"0", "1"}) {
    Tensors mixed = named(Naming::transformers);
    const std::string rest = fmt::format("layer.{}.norm1.bias", block);
    mixed["model." + rest] = mixed.at(rest);
    if (block[0] == '1') mixed.erase(rest);
    const std::string message = loading_error(mixed);
    CHECK_MESSAGE(one_line_with(message, fmt::format("two spellings in one encoder: 'layer.0.norm1.bias' and "
                                                     "'model.layer.{}.norm1.bias'",
                                                     block)),
                  message);
  }
  Tensors scales = named(Naming::timm);
  scales["blocks.2.ls1.gamma"] = scales.at("blocks.2.gamma_1");
  CHECK_MESSAGE(one_line_with(loading_error(scales),
                              "two spellings in one encoder: 'blocks.0.gamma_1' and 'blocks.2.ls1.gamma'"),
                loading_error(scales));
  Tensors masks = named(Naming::meta);
  masks["embeddings.mask_token"] = Tensor::ones({1, 1, 16});
  CHECK(one_line_with(loading_error(masks), "'embeddings.mask_token' is transformers'"));
}

TEST_CASE("DINOv3: what a file lacks or has too much is called as in the file") {
  const auto weights = dinov3_weights("gelu");
  const auto changed = [&](Naming naming, const std::function<void(Tensors&)>& change) {
    const NamedTensors named = named_as(weights, naming);
    Tensors tensors(named.begin(), named.end());
    change(tensors);
    return loading_error(tensors);
  };
  const auto refuses = [](const std::string& message, const std::string& expected) {
    CHECK_MESSAGE(one_line_with(message, expected), message);
  };
  refuses(changed(Naming::timm, [](Tensors& t) { t.erase("reg_token"); }),
          "file: no 'pos_embed' in the encoder, as DINOv2 has, nor 'reg_token', as DINOv3 has");
  const Tensor table = Tensor::ones({1, 10, 16});
  refuses(changed(Naming::timm, [&](Tensors& t) { t["pos_embed"] = table; }),
          "file: 'blocks.0.attn.q_bias', which only DINOv3 has, beside 'pos_embed', which DINOv3 has not");
  refuses(changed(Naming::meta, [&](Tensors& t) { t["pos_embed"] = table; }),
          "file: 'storage_tokens', which only DINOv3 has, beside 'pos_embed'");
  refuses(changed(Naming::transformers, [&](Tensors& t) { t["embeddings.position_embeddings"] = table; }),
          "file: 'embeddings.patch_embeddings.weight', which only DINOv3 has, beside "
          "'embeddings.position_embeddings'");
  refuses(changed(Naming::transformers, [](Tensors& t) { t.erase("layer.1.attention.v_proj.bias"); }),
          "1 missing (layer.1.attention.v_proj.bias)");
  refuses(changed(Naming::transformers, [](Tensors& t) { t.erase("layer.0.mlp.down_proj.weight"); }),
          "no 'layer.0.mlp.down_proj.weight' in the encoder");
  refuses(changed(Naming::timm, [](Tensors& t) { t["blocks.2.gamma_2"] = Tensor::ones({3}); }),
          "1 misshapen (blocks.2.gamma_2 is f32 (3), expected (16))");
}

TEST_CASE("DINOv3: 28 x 28 patches by default; other sides name the nearest") {
  const auto completed = [](int64_t patch, int64_t crop) {
    Config config;
    config.image.crop_h = crop;
    const std::string error = input_error([&] { config.complete(12, patch); });
    return error.empty()
               ? fmt::format("{} {} {}", config.image.resize_w, config.image.crop_h, config.image.crop_w)
               : error;
  };
  CHECK(completed(16, 0) == "512 448 448");
  CHECK(completed(14, 0) == "448 392 392");
  CHECK(one_line_with(completed(16, 392), "crop: 392 x 448 is not a multiple of the encoder's patch 16"));
  CHECK(one_line_with(completed(16, 392), "nearest to 392: 384 and 400"));
  CHECK(one_line_with(completed(16, 8), "nearest to 8: 16"));
}

TEST_CASE("DINOv3: usual heads, target blocks of the huge encoder") {
  CHECK(usual_rotary_heads(384) == 6);
  CHECK(usual_rotary_heads(1280) == 20);
  CHECK(usual_rotary_heads(4096) == 32);
  CHECK(usual_rotary_heads(72) == 0);
  Config config;
  config.complete(32, 16);
  CHECK(config.target_blocks == std::vector<int64_t>{3, 9, 12, 15, 18, 21, 24, 27});
  Config of_7b;  // DINOv3's largest has 40 blocks
  CHECK(one_line_with(input_error([&] { of_7b.complete(40, 16); }), "target_blocks: nobody has published"));
  of_7b.target_blocks = {9, 19, 29, 39};
  of_7b.complete(40, 16);
}

TEST_CASE("DINOv3: convert says what the names lose; info knows the heads") {
  const TemporaryFolder folder;
  const Tensors meta = dinov3_tensors("gelu");
  const std::string in = (folder / "meta.safetensors").string(), out = (folder / "timm.safetensors").string();
  save_safetensors(in, {meta.begin(), meta.end()});
  Outcome outcome = run_dinomaly(folder, "convert " + in + " " + out + " --names timm");
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK(outcome.out.find("rotary periods") != std::string::npos);
  CHECK(run_dinomaly(folder, "info " + in).out.find("heads: 2") != std::string::npos);
  outcome = run_dinomaly(folder, "convert " + out + " " + in + " --names meta");
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(outcome.error.find("--heads must be given") != std::string::npos, outcome.error);
  CHECK(run_dinomaly(folder, "convert " + out + " " + in + " --names meta --heads 2").status == 0);
  CHECK(load_weights_file(in).tensors.at("rope_embed.periods").to_vector<float>() ==
        rope_periods(8).to_vector<float>());
}

}  // namespace dinomaly
