// SPEC "Encoder" 3 and "Model" 3 and 4: blocks put together from ops by hand, on inputs so small that
// every eps counts.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "nn/init.h"
#include "tests/module_case.h"

namespace dinomaly {
namespace {

constexpr int64_t block_width = 8, block_heads = 2;

std::map<std::string, Variable> randomised(Module& module) {
  module.to(Dtype::f64);
  Generator generator(5);
  std::map<std::string, Variable> named;
  for (auto& [name, parameter] : module.named_parameters()) {
    parameter.set_value(Tensor::normal(parameter.shape(), 0, 0.5, generator, Dtype::f64));
    named[name] = parameter;
  }
  return named;
}

// Of size `scale`: a variance near scale^2.
Variable small_input(double scale) {
  Generator generator(6);
  return Variable(Tensor::normal({2, 5, block_width}, 0, scale, generator, Dtype::f64));
}

// (B, N, 3 D) -> q, k or v as (B, heads, N, D / heads).
Variable packed_part(const Variable& qkv, int64_t index) {
  const Variable own = slice(qkv, 2, index * block_width, (index + 1) * block_width);
  return transpose(reshape(own, {own.size(0), own.size(1), block_heads, block_width / block_heads}), 1, 2);
}

Variable joined(const Variable& x) {
  return reshape(transpose(x, 1, 2), {x.size(0), x.size(2), block_width});
}

}  // namespace

TEST_CASE("decoder block: eps of the norms and of the linear attention are the options', no LayerScale") {
  for (const auto& [norm_eps, attention_eps, softmax] :
       {std::tuple{1e-8, 0.0, false}, {1e-6, 0.0, false}, {1e-8, 0.5, false}, {1e-8, 0.0, true}}) {
    CAPTURE(norm_eps);
    CAPTURE(attention_eps);
    CAPTURE(softmax);
    Config config;
    CHECK_FALSE(config.softmax_attention);
    config.softmax_attention = softmax;
    CHECK(config.decoder_norm_eps == 1e-8);
    CHECK(config.linear_attention_eps == 0);
    config.decoder_norm_eps = norm_eps, config.linear_attention_eps = attention_eps;
    DecoderBlock block(block_width, block_heads, config);
    const auto w = randomised(block);
    const Variable x = small_input(1e-4);
    const Variable normed = layer_norm(x, w.at("norm1.weight"), w.at("norm1.bias"), norm_eps);
    const Variable qkv = linear(normed, w.at("attn.qkv.weight"), w.at("attn.qkv.bias"));
    const Variable q = packed_part(qkv, 0), k = packed_part(qkv, 1), v = packed_part(qkv, 2);
    const double scale = 1 / std::sqrt(static_cast<double>(block_width / block_heads));
    const Variable attended =
        joined(softmax ? attention(q, k, v, scale) : linear_attention(q, k, v, attention_eps));
    const Variable middle = x + linear(attended, w.at("attn.proj.weight"), w.at("attn.proj.bias"));
    const Variable second = layer_norm(middle, w.at("norm2.weight"), w.at("norm2.bias"), norm_eps);
    const Variable hidden = gelu(linear(second, w.at("mlp.fc1.weight"), w.at("mlp.fc1.bias")));
    const Variable expected = middle + linear(hidden, w.at("mlp.fc2.weight"), w.at("mlp.fc2.bias"));
    CHECK(relative_distance(block(x).value(), expected.value()) < 1e-12);
  }
}

TEST_CASE("linear attention: out = q (k^T v) / (q . sum of k + eps) with elu + 1 and no scale, by loops") {
  Generator generator(7);
  const int64_t n = 4, d = 3;
  const Tensor q = Tensor::normal({1, 1, n, d}, 0, 2, generator, Dtype::f64),
               k = Tensor::normal({1, 1, n, d}, 0, 2, generator, Dtype::f64),
               v = Tensor::normal({1, 1, n, d}, 0, 2, generator, Dtype::f64);
  const auto a = q.to_vector<double>(), b = k.to_vector<double>(), c = v.to_vector<double>();
  const auto feature = [](double x) { return x > 0 ? x + 1 : std::exp(x); };
  for (double eps : {0.0, 0.25}) {
    const auto out = linear_attention(Variable(q), Variable(k), Variable(v), eps).value().to_vector<double>();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t column = 0; column < d; ++column) {
        double numerator = 0, denominator = eps;
        for (int64_t j = 0; j < n; ++j) {
          double weight = 0;
          for (int64_t l = 0; l < d; ++l) weight += feature(a[i * d + l]) * feature(b[j * d + l]);
          numerator += weight * c[j * d + column];
          denominator += weight;
        }
        CHECK(out[i * d + column] == doctest::Approx(numerator / denominator).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("encoder block: eps 1e-6, scale 1 / sqrt(head width), exact GELU, LayerScale where there is one") {
  for (const bool layer_scale : {false, true}) {
    EncoderConfig config;
    config.width = block_width, config.heads = block_heads, config.hidden = 12,
    config.layer_scale = layer_scale;
    EncoderBlock block(config);
    const auto w = randomised(block);
    CHECK(w.contains("ls1.gamma") == layer_scale);
    const auto scaled = [&](const Variable& y, const char* gamma) {
      return layer_scale ? y * w.at(gamma) : y;
    };
    const auto exact_gelu = [](const Variable& y) {
      auto values = y.value().to_vector<double>();
      for (double& value : values) value = value / 2 * (1 + std::erf(value / std::sqrt(2.0)));
      return Variable(Tensor::from(values, y.shape()));
    };
    const Variable x = small_input(1e-3);
    const Variable normed = layer_norm(x, w.at("norm1.weight"), w.at("norm1.bias"), 1e-6);
    const Variable qkv = linear(normed, w.at("attn.qkv.weight"), w.at("attn.qkv.bias"));
    const double scale = 1 / std::sqrt(static_cast<double>(block_width) / block_heads);
    const Variable scores = matmul(packed_part(qkv, 0), transpose(packed_part(qkv, 1), 2, 3)) * scale;
    const Variable attended = joined(matmul(softmax(scores), packed_part(qkv, 2)));
    const Variable middle =
        x + scaled(linear(attended, w.at("attn.proj.weight"), w.at("attn.proj.bias")), "ls1.gamma");
    const Variable second = layer_norm(middle, w.at("norm2.weight"), w.at("norm2.bias"), 1e-6);
    const Variable hidden = exact_gelu(linear(second, w.at("mlp.fc1.weight"), w.at("mlp.fc1.bias")));
    const Variable expected =
        middle + scaled(linear(hidden, w.at("mlp.fc2.weight"), w.at("mlp.fc2.bias")), "ls2.gamma");
    CHECK(relative_distance(block(x, {}).value(), expected.value()) < 1e-12);
  }
}

TEST_CASE("encoder block: SwiGLU is w3 (silu(first half) * second half)") {
  EncoderConfig config;
  config.width = block_width, config.heads = block_heads, config.hidden = 6, config.layer_scale = false;
  config.ffn = EncoderConfig::Ffn::swiglu_fused;
  EncoderBlock block(config);
  auto w = randomised(block);
  for (const char* name : {"attn.proj.weight", "attn.proj.bias"})  // attention adds nothing
    w.at(name).set_value(Tensor::zeros(w.at(name).shape(), Dtype::f64));
  const Variable x = small_input(1);
  const Variable normed = layer_norm(x, w.at("norm2.weight"), w.at("norm2.bias"), 1e-6);
  const Tensor both = linear(normed, w.at("mlp.w12.weight"), w.at("mlp.w12.bias")).value();
  auto gate = both.slice(2, 0, 6).contiguous().to_vector<double>();
  const auto value = both.slice(2, 6, 12).contiguous().to_vector<double>();
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * value[i];
  const Variable hidden(Tensor::from(gate, {2, 5, 6}));
  const Variable expected = x + linear(hidden, w.at("mlp.w3.weight"), w.at("mlp.w3.bias"));
  CHECK(relative_distance(block(x, {}).value(), expected.value()) < 1e-12);
}

}  // namespace dinomaly
