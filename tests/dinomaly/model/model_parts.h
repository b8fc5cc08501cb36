// A small model of random weights, and its parts by name.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "tensor/ops.h"

namespace dinomaly {

// A model of 12 narrow blocks, patches of 4 x 4 pixels.
struct Small {
  EncoderConfig encoder;
  Config config;
  Small() {
    encoder.width = 16, encoder.heads = 2, encoder.depth = 12, encoder.patch = 4, encoder.hidden = 32;
    encoder.grid_h = encoder.grid_w = 3;
    config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = 16;
    config.init_std = 0.3, config.init_cut = 1;
  }
  std::unique_ptr<Dinomaly> build() const {
    Generator generator(2);
    auto model = std::make_unique<Dinomaly>(encoder, config);
    load_encoder_weights(model->encoder(), random_encoder(encoder, generator), "random");
    model->to(Dtype::f64);
    return model;
  }
};

inline Tensor random_pixels(int64_t height, int64_t width, int64_t batch = 2) {
  Generator generator(3);
  return Tensor::normal({batch, 3, height, width}, 0, 1, generator, Dtype::f64);
}

inline Variable named(const Module& module, const std::string& name) {
  for (auto& [key, parameter] : module.named_parameters()) {
    if (key == name) return parameter;
  }
  FAIL("no parameter ", name);
  return {};
}

inline void fill(const Module& module, const std::string& name, double value) {
  const Variable parameter = named(module, name);
  parameter.set_value(Tensor::full(parameter.shape(), value, parameter.dtype()));
}

inline std::vector<Tensor> block_outputs(const Dinomaly& model, const Tensor& images,
                                         const std::vector<int64_t>& blocks) {
  NoGrad no_recording;
  std::vector<Tensor> outputs(blocks.size());
  const_cast<Dinomaly&>(model).encoder().features(
      images, blocks, [&](size_t i, const Variable& x) { outputs[i] = x.value(); });
  return outputs;
}

inline double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return reduce(Reduce::max, unary(Unary::abs, a - b)).item();
}

}  // namespace dinomaly
