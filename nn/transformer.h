// The parts of a transformer block. Parameter names equal the checkpoints' of DINOv2 and Dinomaly.
#pragma once

#include "nn/layers.h"

namespace nabla {

// The layers below are branches of a block; given `then`, they add their output to its residual stream.

// A branch that treats each token independently: (..., D) to (..., D).
class FeedForward : public Module {
 public:
  virtual Variable operator()(const Variable& x, const Residual& then = {}) const = 0;
};

// fc2(gelu(fc1(x))).
class Mlp : public FeedForward {
 public:
  Mlp(int64_t width, int64_t hidden, bool with_bias = true)
      : fc1(add<Linear>("fc1", width, hidden, with_bias)),
        fc2(add<Linear>("fc2", hidden, width, with_bias)) {}
  Variable operator()(const Variable& x, const Residual& then = {}) const override {
    if (!fc1.is_plain() || !fc2.is_plain()) return fc2(fc1.gelu(x, fc2), then, x.dtype());
    return mlp(x, {fc1.weight, fc1.bias}, {fc2.weight, fc2.bias}, then);
  }

  Linear& fc1;
  Linear& fc2;
};

// w3(silu(a) * b) with [a | b] = w12(x) (Shazeer, "GLU variants improve transformer").
class SwiGLU : public FeedForward {
 public:
  SwiGLU(int64_t width, int64_t hidden)
      : w12(add<Linear>("w12", width, 2 * hidden)), w3(add<Linear>("w3", hidden, width)) {}
  Variable operator()(const Variable& x, const Residual& then = {}) const override {
    const Variable gates = w12(x);
    const int64_t hidden = gates.shape().back() / 2;
    return w3(silu(slice(gates, -1, 0, hidden)) * slice(gates, -1, hidden, 2 * hidden), then);
  }

  Linear& w12;
  Linear& w3;
};

// Softmax self-attention over the tokens of x (B, N, D), scale 1 / sqrt(D / heads). With tables, the tokens' places
// turn q and k (rope()).
class Attention : public Module {
 public:
  Attention(int64_t width, int64_t heads);
  Variable operator()(const Variable& x, const Residual& then = {}, const RopeTables& tables = {}) const {
    // Tables turn what has their own dtype.
    const Variable parts = tables.cosines.defined() ? qkv(x) : qkv.for_product(x);
    return proj(packed_attention(parts, heads_, scale_, tables, qkv.is_quantized()), then, x.dtype());
  }

  Linear& qkv;
  Linear& proj;

 private:
  int64_t heads_;
  double scale_;
};

// Linear self-attention (Katharopoulos et al., "Transformers are RNNs"): elu + 1 as feature map, no scale.
class LinearAttention : public Module {
 public:
  LinearAttention(int64_t width, int64_t heads, double eps);
  Variable operator()(const Variable& x, const Residual& then = {}) const {
    return proj(packed_linear_attention(qkv.for_product(x), heads_, eps_), then, x.dtype());
  }

  Linear& qkv;
  Linear& proj;

 private:
  int64_t heads_;
  double eps_;
};

}  // namespace nabla
