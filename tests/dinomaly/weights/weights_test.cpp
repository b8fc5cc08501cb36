#include <doctest/doctest.h>

#include <filesystem>
#include <functional>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, Tensor>;

constexpr int64_t width = 8, heads = 2, depth = 11, patch = 2, grid = 3, hidden = 12;

struct Variant {
  bool swiglu = false, layer_scale = true;
  int64_t registers = 0;
};

// A small random encoder under Meta's names.
Tensors meta_encoder(const Variant& variant) {
  Generator generator(7);
  Tensors result;
  const auto add = [&](const std::string& name, const Shape& shape) {
    result[name] = Tensor::normal(shape, 0, 1, generator);
  };
  const auto add_pair = [&](const std::string& name, const Shape& shape) {
    add(name + ".weight", shape);
    add(name + ".bias", {shape[0]});
  };
  add("cls_token", {1, 1, width});
  add("pos_embed", {1, 1 + grid * grid, width});
  if (variant.registers > 0) add("register_tokens", {1, variant.registers, width});
  add_pair("patch_embed.proj", {width, 3, patch, patch});
  for (int64_t n = 0; n < depth; ++n) {
    const std::string block = fmt::format("blocks.{}.", n);
    add_pair(block + "norm1", {width});
    add_pair(block + "norm2", {width});
    add_pair(block + "attn.qkv", {3 * width, width});
    add_pair(block + "attn.proj", {width, width});
    if (variant.layer_scale) add(block + "ls1.gamma", {width});
    if (variant.layer_scale) add(block + "ls2.gamma", {width});
    add_pair(block + (variant.swiglu ? "mlp.w12" : "mlp.fc1"), {variant.swiglu ? 2 * hidden : hidden, width});
    add_pair(block + (variant.swiglu ? "mlp.w3" : "mlp.fc2"), {width, hidden});
  }
  return result;
}

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& rules) {
  for (const auto& [from, to] : rules) {
    if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  }
  return text;
}

// What timm makes of Meta's tensors.
Tensors timm_encoder(const Tensors& meta) {
  Tensors result;
  for (const auto& [name, tensor] : meta) {
    result[replaced(
        name, {{"mlp.w12", "mlp.fc1"}, {"mlp.w3", "mlp.fc2"}, {"register_tokens", "reg_token"}})] = tensor;
  }
  if (meta.contains("register_tokens")) {
    result["cls_token"] = meta.at("cls_token") + meta.at("pos_embed").slice(1, 0, 1);
    result["pos_embed"] = meta.at("pos_embed").slice(1, 1, 1 + grid * grid).contiguous();
  }
  result["norm.weight"] = result["norm.bias"] = Tensor::ones({width});
  return result;
}

// What transformers makes of them; `in_memory` are the names of its version 5 before saving.
Tensors transformers_encoder(const Tensors& meta, bool in_memory) {
  Tensors result;
  for (const auto& [name, tensor] : meta) {
    std::string other =
        replaced(name, {{"blocks.", "encoder.layer."},
                        {"ls1.gamma", "layer_scale1.lambda1"},
                        {"ls2.gamma", "layer_scale2.lambda1"},
                        {"attn.proj", in_memory ? "attention.o_proj" : "attention.output.dense"},
                        {"mlp.w3", in_memory ? "mlp.down_proj" : "mlp.weights_out"},
                        {"cls_token", "embeddings.cls_token"},
                        {"register_tokens", "embeddings.register_tokens"},
                        {"pos_embed", "embeddings.position_embeddings"},
                        {"patch_embed.proj", "embeddings.patch_embeddings.projection"}});
    const std::vector<std::string> qkv =
        in_memory ? std::vector<std::string>{"q_proj", "k_proj", "v_proj"}
                  : std::vector<std::string>{"attention.query", "attention.key", "attention.value"};
    if (other.find("attn.qkv") != std::string::npos) {
      for (int64_t i = 0; i < 3; ++i) {
        result[replaced(other, {{"attn.qkv", "attention." + qkv[i]}})] =
            tensor.slice(0, i * width, (i + 1) * width).contiguous();
      }
    } else if (other.find("mlp.w12") != std::string::npos && in_memory) {
      result[replaced(other, {{"w12", "gate_proj"}})] = tensor.slice(0, 0, hidden).contiguous();
      result[replaced(other, {{"w12", "up_proj"}})] = tensor.slice(0, hidden, 2 * hidden).contiguous();
    } else {
      result[replaced(other, {{"mlp.w12", "mlp.weights_in"}})] = tensor;
    }
  }
  result["embeddings.mask_token"] = Tensor::zeros({1, width});
  result["layernorm.weight"] = result["layernorm.bias"] = Tensor::ones({width});
  return result;
}

Tensors prefixed(const Tensors& tensors, const std::string& prefix) {
  Tensors result{{"bottleneck.0.fc1.weight", Tensor::ones({2})},
                 {"decoder.0.norm1.weight", Tensor::ones({2})}};
  for (const auto& [name, tensor] : tensors) result[prefix + name] = tensor;
  return result;
}

void check_equal(const EncoderWeights& weights, const Tensors& expected) {
  CHECK(weights.tensors.size() == expected.size());
  for (const auto& [name, tensor] : weights.tensors) {
    CAPTURE(name);
    REQUIRE(expected.contains(name));
    CHECK(tensor.shape() == expected.at(name).shape());
    CHECK(tensor.to_vector<float>() == expected.at(name).to_vector<float>());
  }
}

std::string message_of(const Tensors& tensors, int64_t number_of_heads = heads) {
  try {
    load_encoder(tensors, "file", number_of_heads);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("encoder weights: three libraries' names give one encoder") {
  for (const Variant& variant :
       {Variant{}, Variant{true, true, 4}, Variant{false, false, 0}, Variant{false, true, 1}}) {
    const Tensors meta = meta_encoder(variant);
    EncoderConfig config;
    config.width = width, config.heads = heads, config.depth = depth, config.patch = patch;
    config.registers = variant.registers, config.grid_h = config.grid_w = grid, config.hidden = hidden;
    config.ffn = variant.swiglu ? EncoderConfig::Ffn::swiglu_fused : EncoderConfig::Ffn::mlp;
    config.layer_scale = variant.layer_scale;
    for (const std::string prefix :
         {"encoder.", "weights/encoder.", "model.", "model.encoder.feature_extractor."}) {
      const EncoderWeights weights = load_encoder(prefixed(meta, prefix), "file", heads);
      CHECK(weights.config == config);
      check_equal(weights, meta);
    }
    check_equal(load_encoder(meta, "file", heads), meta);
    for (const bool in_memory : {false, true}) {
      const EncoderWeights weights = load_encoder(transformers_encoder(meta, in_memory), "file", heads);
      CHECK(weights.config == config);
      check_equal(weights, meta);
    }
    Tensors folded = meta;
    if (variant.registers > 0) {
      folded["cls_token"] = timm_encoder(meta).at("cls_token");
      folded["pos_embed"] = timm_encoder(meta).at("pos_embed");
      config.cls_in_position_table = false;
    }
    const EncoderWeights timm = load_encoder(timm_encoder(meta), "file", heads);
    CHECK(timm.config == config);
    check_equal(timm, folded);
  }
}

TEST_CASE("encoder weights: the order is the forward pass's, the final norm is gone") {
  Tensors meta = meta_encoder({});
  meta["norm.weight"] = meta["norm.bias"] = Tensor::ones({width});
  meta["mask_token"] = Tensor::zeros({1, width});
  const EncoderWeights weights = load_encoder(meta, "file", heads);
  CHECK(weights.tensors.front().first == "cls_token");
  CHECK(weights.tensors[4].first == "blocks.0.norm1.weight");
  CHECK(weights.tensors.back().first == fmt::format("blocks.{}.ls2.gamma", depth - 1));
}

TEST_CASE("encoder weights: from a file, heads by default of width 64") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.safetensors";
  const Tensors meta = meta_encoder({});
  save_safetensors(path, {meta.begin(), meta.end()});
  const WeightsFile file = load_weights_file(path);
  check_equal(load_encoder(file, heads), meta);
  CHECK_THROWS_WITH_AS(load_encoder(file), doctest::Contains("not a multiple of 64"), InputError);
  CHECK_THROWS_WITH_AS(load_encoder(file, 3), doctest::Contains("3 heads do not divide a width of 8"),
                       InputError);
  CHECK_THROWS_AS(load_encoder(file, -2), InputError);
}

TEST_CASE(
    "encoder weights: a tensor of an unknown dtype is named where it is needed, and ignored elsewhere") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.safetensors";
  Tensors meta = meta_encoder({});
  meta["head.weight"] = Tensor::ones({2, 2});
  const auto with_dtype = [&](const std::string& name, const std::string& dtype) {
    save_safetensors(path, {meta.begin(), meta.end()});
    std::string bytes = read_file(path, 1 << 20);
    const size_t entry = bytes.find("\"" + name + "\"");
    REQUIRE(entry != std::string::npos);
    bytes.replace(bytes.find("\"F32\"", bytes.rfind('{', bytes.find("}", entry))), 5, "\"" + dtype + "\"");
    write_file(path, bytes);
    return load_weights_file(path);
  };
  for (const std::string dtype : {"F8X", "U32", "C64"}) {
    const WeightsFile unused = with_dtype("head.weight", dtype);
    CHECK(unused.skipped.at("head.weight") == "of dtype " + dtype);
    CHECK(load_encoder(unused, heads).config.depth == depth);
    const WeightsFile needed = with_dtype("blocks.3.norm2.bias", dtype);
    CHECK(input_error([&] { load_encoder(needed, heads); }) ==
          path.string() + ": blocks.3.norm2.bias is of dtype " + dtype + ", which is not read");
  }
}

TEST_CASE("encoder weights: what does not fit is named") {
  const Tensors meta = meta_encoder({});
  const auto message_with = [&](const std::function<void(Tensors&)>& change) {
    Tensors changed = meta;
    change(changed);
    return message_of(changed);
  };
  CHECK(message_of(meta) == "no error");
  CHECK(message_of({}) == "file: no ViT encoder in it (no patch_embed.proj.weight among 0 tensors)");
  CHECK(message_with([&](Tensors& t) {
          t["teacher.patch_embed.proj.weight"] = Tensor::ones({1});
        }).find("2 encoders in it, under '' and 'teacher.'") != std::string::npos);
  CHECK(message_with([](Tensors& t) { t.erase("blocks.3.attn.qkv.bias"); }) ==
        "file: not a whole encoder; 1 missing (blocks.3.attn.qkv.bias)");
  CHECK(message_with([](Tensors& t) { t["blocks.3.extra\n"] = Tensor::ones({1}); }) ==
        "file: not a whole encoder; 1 unexpected (blocks.3.extra?)");
  CHECK(message_with([](Tensors& t) { t["blocks.0.norm1.bias"] = Tensor::ones({width + 1}); }) ==
        "file: not a whole encoder; 1 misshapen (blocks.0.norm1.bias is f32 (9), expected (8))");
  CHECK(message_with([](Tensors& t) {
          t["blocks.0.norm1.bias"] = Tensor::arange(width);
        }).find("blocks.0.norm1.bias is i64") != std::string::npos);
  // A block out of line: the gap is missing, the stray one unexpected.
  const std::string gap =
      message_with([](Tensors& t) { t["blocks.999999.norm1.bias"] = Tensor::ones({width}); });
  CHECK(gap.find("14 missing (blocks.11.norm1.weight, ") != std::string::npos);
  CHECK(gap.find("..., ") == std::string::npos);
  CHECK(gap.find("1 unexpected (blocks.999999.norm1.bias)") != std::string::npos);
  CHECK(message_with([](Tensors& t) {
          t["pos_embed"] = Tensor::ones({1, 12, width});
        }).find("12 rows, neither G x G nor 1 + G x G") != std::string::npos);
  CHECK(message_with([](Tensors& t) {
          t["pos_embed"] = Tensor::ones({1, 0, width});
        }).find("is empty") != std::string::npos);
  // timm's DINOv2 has registers as its DINOv3: without its table it is neither.
  CHECK(message_with([](Tensors& t) {
          t["reg_token"] = Tensor::ones({1, 4, width});
          t.erase("pos_embed");
        }) == "file: no 'pos_embed' in the encoder");
  CHECK(message_with([](Tensors& t) {
          t["patch_embed.proj.weight"] = Tensor::ones({width});
        }).find("expected 4 axes") != std::string::npos);
  CHECK(message_with([](Tensors& t) {
          t["dist_token"] = t["register_tokens"] = Tensor::ones({1, 1, width});
        }).find("two spellings in one encoder: 'dist_token' and 'register_tokens'") != std::string::npos);
  CHECK(message_with([](Tensors& t) {
          std::erase_if(t, [](const auto& e) { return e.first.starts_with("blocks"); });
        }).find("has no blocks") != std::string::npos);

  Tensors split = transformers_encoder(meta, false);
  split.erase("encoder.layer.2.attention.attention.key.bias");
  CHECK(message_of(split) ==
        "file: not a whole encoder; 1 missing (encoder.layer.2.attention.attention.key.bias)");
  split["encoder.layer.2.attention.attention.key.bias"] = Tensor::ones({1});
  CHECK(message_of(split).find("the parts of blocks.2.attn.qkv.bias differ") != std::string::npos);
}

TEST_CASE("encoder weights: transformers' position table has a row for CLS and a square of patches") {
  for (const int64_t count : {16, 9, 25, 196}) {
    Tensors transformers = transformers_encoder(meta_encoder({false, true, 4}), false);
    transformers["embeddings.position_embeddings"] = Tensor::zeros({1, count, width});
    CHECK(message_of(transformers).find("which are no square") != std::string::npos);
  }
}

TEST_CASE("encoder weights: a published ViT-Tiny of timm") {
  const auto shared = shared_folder();
  if (!shared) return skip("no published ViT-Tiny");
  const fs::path path = *shared / "data/weights/vit_tiny_patch16_224.safetensors";
  const EncoderWeights weights = load_encoder(load_weights_file(path));
  EncoderConfig expected;
  expected.width = 192, expected.heads = 3, expected.depth = 12, expected.patch = 16, expected.hidden = 768;
  expected.grid_h = expected.grid_w = 14;
  CHECK(weights.config == expected);
  CHECK(weights.tensors.size() == 148);  // of 152: without the final norm and the head
}

}  // namespace
}  // namespace dinomaly
