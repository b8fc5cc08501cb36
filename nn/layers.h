// Layers that consist of one op and its parameters. Parameter names and shapes are torch's.
#pragma once

#include <cstdint>
#include <optional>

#include "autograd/ops/ops.h"
#include "nn/module.h"

namespace nabla {

// y = x W^T + b; weight (out, in), bias (out). Starts at zero: see init.h. For inference it can be quantised (quantize.h).
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool with_bias = true);
  // Where it is quantised, y can have another dtype than x.
  Variable operator()(const Variable& x, const Residual& then = {}, std::optional<Dtype> result = {}) const;
  // y for an attention that comes next: in bf16 where this layer is quantised, so that less passes through memory and the attention
  // multiplies bf16, where the processor can.
  Variable for_product(const Variable& x) const;
  // GELU of y, in the same product where this layer is quantised, for `next` alone: in bf16 where that is quantised, too, as it
  // makes bytes of its input anyway. Half of what goes through memory.
  Variable gelu(const Variable& x, const Linear& next) const;

  // While on, the largest |x| of each input channel is kept in `largest_input` (in), f32.
  void watch_inputs(bool on);
  // From now on the weight is int8, and there is no gradient.
  void quantize(const QuantizedWeights& weights);
  // Neither quantised nor watched: ops that fuse several layers may use the weight itself.
  bool is_plain() const { return !is_quantized() && !watches_; }
  bool is_quantized() const { return weight_scale.defined(); }

  Variable weight, bias;               // bias is undefined without one
  Variable weight_scale, input_scale;  // of QuantizedWeights; undefined otherwise
  mutable Tensor largest_input;

 private:
  void watch(const Tensor& x) const;
  QuantizedWeights quantized() const;

  bool watches_ = false;
};

// Normalises the last axis; weight (width) starts at 1, bias (width) at 0.
class LayerNorm : public Module {
 public:
  LayerNorm(int64_t width, double eps);
  Variable operator()(const Variable& x) const { return layer_norm(x, weight, bias, eps_); }

  Variable weight, bias;

 private:
  double eps_;
};

// x * gamma, one factor per channel (Touvron et al., "Going deeper with image transformers").
class LayerScale : public Module {
 public:
  explicit LayerScale(int64_t width, double start = 1.0);
  Variable operator()(const Variable& x) const { return x * gamma; }

  Variable gamma;
};

// Zeroes with probability p while training, drawing from the generator given at each call.
class Dropout : public Module {
 public:
  explicit Dropout(double p);
  Variable operator()(const Variable& x, Generator& generator) const;

 private:
  double p_;
};

// x (B, in, H, W) -> (B, out, H', W'); weight (out, in / groups, kernel, kernel), bias (out).
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dArgs& args = {}, bool with_bias = true);
  Variable operator()(const Variable& x) const { return conv2d(x, weight, bias, args_); }

  Variable weight, bias;

 private:
  Conv2dArgs args_;
};

// An image cut into patches, each projected to a token: x (B, channels, H, W) -> (B, H/patch * W/patch, width),
// row-major. Throws Error where H or W is no multiple of the patch.
class PatchEmbed : public Module {
 public:
  PatchEmbed(int64_t patch, int64_t width, int64_t channels = 3);
  Variable operator()(const Variable& images) const;

  Conv2d& proj;

 private:
  int64_t patch_;
};

}  // namespace nabla
