// Every differentiable op. Formula, shape rule and derivative stand on top of the op's own file, x.cpp;
// errors name the op and the shapes. Functions of one variable, element by element, stand in
// pointwise.h. Without gradient (sort, topk, argmax, comparisons): tensor/ops.h.
#pragma once

#include <optional>
#include <vector>

#include "autograd/ops/pointwise.h"
#include "autograd/tape.h"
#include "autograd/variable.h"
#include "tensor/kernel_args.h"
#include "tensor/ops.h"

namespace nabla {

// arithmetic.cpp: elementwise with broadcasting.
Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
Variable maximum(const Variable& a, const Variable& b);  // ties: half of the gradient to each
Variable where(const Tensor& condition, const Variable& a, const Variable& b);  // condition u8
Variable affine(const Variable& x, double scale, double shift);                 // scale * x + shift
inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return div(a, b); }
inline Variable operator*(const Variable& x, double scale) { return affine(x, scale, 0); }
inline Variable operator*(double scale, const Variable& x) { return affine(x, scale, 0); }
inline Variable operator+(const Variable& x, double shift) { return affine(x, 1, shift); }
inline Variable operator-(double shift, const Variable& x) { return affine(x, -1, shift); }

// reduction.cpp: over `axes` (none: all); keep leaves them with size 1.
Variable sum(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
Variable mean(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
Variable max(const Variable& x, const std::vector<int>& axes = {},
             bool keep = false);  // ties share the gradient

// view.cpp: shapes only.
Variable reshape(const Variable& x, const Shape& shape);  // one size may be -1
Variable transpose(const Variable& x, int axis_a, int axis_b);
Variable permute(const Variable& x, const std::vector<int>& axes);
Variable slice(const Variable& x, int axis, int64_t begin, int64_t end, int64_t step = 1);
Variable expand(const Variable& x, const Shape& shape);
// cast.cpp: another floating dtype.
Variable cast(const Variable& x, Dtype dtype);
// cat.cpp
Variable cat(const std::vector<Variable>& parts, int axis);
Variable stack(const std::vector<Variable>& parts, int axis);  // a new axis

// matmul.cpp: (..., M, K) x (..., K, N); leading axes equal, or one operand has none. `transposed` operands
// are stored with their last two axes exchanged.
Variable matmul(const Variable& a, const Variable& b, bool a_transposed = false, bool b_transposed = false);
// What a transformer block does with a branch: y = x + scale * branch; scale (O), LayerScale,
// may be undefined.
struct Residual {
  Variable x, scale;
};
// linear.cpp: y = x W^T + b;  x (..., I), weight (O, I), bias (O) or undefined. With `then`, of y's shape,
// the residual connection is fused into the product.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias, const Residual& then = {});
// mlp.cpp: linear(gelu(linear(x, fc1)), fc2, then), which keeps the hidden layer once instead of twice.
struct LinearWeights {
  Variable weight, bias;  // bias may be undefined
};
Variable mlp(const Variable& x, const LinearWeights& fc1, const LinearWeights& fc2,
             const Residual& then = {});

// quantized_linear.cpp: linear() with weights of one byte each, for inference.
struct QuantizedWeights {
  Tensor weight;            // i8 (O, I), never changed in place
  Tensor scale;             // f32 (O): row o of the layer's weight is about scale[o] * weight[o]
  Tensor bias;              // (O), f32 or x's dtype; may be undefined
  Tensor input_scale = {};  // f32 (I): x is multiplied by it before its rows are quantised; may be undefined
};
// Of a weight (O, I), f32 or bf16; the bias is passed on as it is.
QuantizedWeights quantize_weight(const Tensor& weight, const Tensor& bias = {});
// then.x + then.scale * activation(x W^T + b); x (..., I) f32 or bf16 -> (..., O) of `result`, f32 or bf16, or of x's dtype.
// The rows of x are quantised, too. Has no gradient: throws where x or `then` wants one.
Variable quantized_linear(const Variable& x, const QuantizedWeights& layer,
                          Epilogue::Activation activation = Epilogue::Activation::none,
                          const Residual& then = {}, std::optional<Dtype> result = {});

// layer_norm.cpp: over the last axis; weight and bias (D).
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps);

// softmax.cpp: over the last axis.
Variable softmax(const Variable& x);
Variable log_softmax(const Variable& x);
// cross_entropy.cpp: mean over rows of -log softmax(logits)[label]; logits (N, C), labels (N) i64 in [0, C). Rows whose
// label is ignored_label (torch's ignore_index) do not count; throws if all are.
inline constexpr int64_t ignored_label = -100;
Variable cross_entropy(const Variable& logits, const Tensor& labels);

// rope.cpp: rotary position embedding of x (B, H, N, d). The cosines and sines (P, d/2) of the angles belong to the
// last P tokens; those before them stay as they are.
struct RopeTables {
  Tensor cosines, sines;
};
Variable rope(const Variable& x, const RopeTables& tables);

// attention.cpp: softmax(scale q k^T) v per head; q (B, H, N, d), k and v (B, H, M, d), scale > 0.
Variable attention(const Variable& q, const Variable& k, const Variable& v, double scale);
// The same on a packed projection qkv (B, N, 3 H d), ordered [q | k | v], each [head][d]: -> (B, N, H
// d). No copies. Given tables, q and k are turned by rope() first. allow_integers allows products of integers of 16 bits, where
// they are faster: for a model that is quantised anyway. The gradient multiplies floats.
Variable packed_attention(const Variable& qkv, int64_t heads, double scale, const RopeTables& tables = {},
                          bool allow_integers = false);
// linear_attention.cpp: f(q) (f(k)^T v) / (f(q) . sum f(k) + eps), f = elu + 1; q, k, v (B, H, N, d).
Variable linear_attention(const Variable& q, const Variable& k, const Variable& v, double eps);
Variable packed_linear_attention(const Variable& qkv, int64_t heads, double eps);

// dropout.cpp: zero with probability p in [0, 1), the rest divided by 1 - p. Sets aside a word of the generator for each
// element (Generator::reserve()).
Variable dropout(const Variable& x, double p, Generator& generator);

// conv2d.cpp: x (B, C, H, W), weight (O, C / groups, kh, kw), bias (O) or undefined.
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dArgs& args = {});
// interpolate.cpp: the last two axes to (height, width); any leading axes.
Variable interpolate(const Variable& x, int64_t height, int64_t width, const InterpolateArgs& args);

// cosine_similarity.cpp: over the last axis; each norm clamped at eps from below, as torch does.
Variable cosine_similarity(const Variable& a, const Variable& b, double eps = 1e-8);

}  // namespace nabla
