// Every op of autograd/ops/ops.h, under its name.
#include "autograd/ops/ops.h"

#include "bindings/python/binding.h"

namespace dinomaly::python {

namespace {

using V = const Variable&;
using MaybeVariable = std::optional<Variable>;

Variable or_none(const MaybeVariable& variable) { return variable.value_or(Variable()); }
Residual residual_of(const MaybeVariable& residual, const MaybeVariable& scale) {
  return {or_none(residual), or_none(scale)};
}

void bind_elementwise(nb::module_& m) {
  m.def("add", &add, "a"_a, "b"_a, computes());
  m.def("sub", &sub, "a"_a, "b"_a, computes());
  m.def("mul", &mul, "a"_a, "b"_a, computes());
  m.def("div", nb::overload_cast<V, V>(&nabla::div), "a"_a, "b"_a, computes());
  m.def("maximum", &maximum, "a"_a, "b"_a, "Of equal operands each gets half of the gradient.", computes());
  m.def("where", nb::overload_cast<const Tensor&, V, V>(&where), "condition"_a, "a"_a, "b"_a, "condition u8.",
        computes());
  m.def("affine", &affine, "x"_a, "scale"_a, "shift"_a, "scale * x + shift", computes());
  m.def("neg", &neg, "x"_a, computes());
  m.def(
      "abs", [](V x) { return abs(x); }, "x"_a, computes());
  m.def(
      "exp", [](V x) { return exp(x); }, "x"_a, computes());
  m.def(
      "log", [](V x) { return log(x); }, "x"_a, computes());
  m.def(
      "sqrt", [](V x) { return sqrt(x); }, "x"_a, computes());
  m.def("rsqrt", &rsqrt, "x"_a, computes());
  m.def("relu", &relu, "x"_a, computes());
  m.def(
      "gelu", [](V x) { return gelu(x); }, "x"_a, "x Phi(x), exact.", computes());
  m.def("silu", &silu, "x"_a, computes());
  m.def("sigmoid", &sigmoid, "x"_a, computes());
  m.def(
      "tanh", [](V x) { return tanh(x); }, "x"_a, computes());
  m.def("elu", &elu, "x"_a, "alpha"_a = 1.0, computes());
  m.def(
      "pow", [](V x, double exponent) { return pow(x, exponent); }, "x"_a, "exponent"_a, computes());
  m.def("clamp", &clamp, "x"_a, "low"_a, "high"_a, computes());
}

void bind_shapes(nb::module_& m) {
  const auto axes = "axes"_a = std::vector<int>();
  const auto keep = "keep"_a = false;
  m.def("sum", &sum, "x"_a, axes, keep, "Over `axes` (none: all); keep leaves them with size 1.", computes());
  m.def("mean", &mean, "x"_a, axes, keep, computes());
  m.def(
      "max", [](V x, const std::vector<int>& over, bool kept) { return max(x, over, kept); }, "x"_a, axes,
      keep, "Ties share the gradient.", computes());
  m.def("reshape", &reshape, "x"_a, "shape"_a, computes());
  m.def(
      "transpose", [](V x, int a, int b) { return transpose(x, a, b); }, "x"_a, "axis_a"_a, "axis_b"_a,
      computes());
  m.def(
      "permute", [](V x, const std::vector<int>& order) { return permute(x, order); }, "x"_a, "axes"_a,
      computes());
  m.def(
      "slice",
      [](V x, int axis, int64_t begin, int64_t end, int64_t step) {
        return slice(x, axis, begin, end, step);
      },
      "x"_a, "axis"_a, "begin"_a, "end"_a, "step"_a = 1, computes());
  m.def(
      "expand", [](V x, const Shape& shape) { return expand(x, shape); }, "x"_a, "shape"_a, computes());
  m.def(
      "cast", [](V x, Dtype dtype) { return cast(x, dtype); }, "x"_a, "dtype"_a, computes());
  m.def(
      "cat", [](const std::vector<Variable>& parts, int axis) { return cat(parts, axis); }, "parts"_a,
      "axis"_a, computes());
  m.def("stack", &stack, "parts"_a, "axis"_a, computes());
}

void bind_products(nb::module_& m) {
  m.def(
      "matmul", [](V a, V b, bool ta, bool tb) { return matmul(a, b, ta, tb); }, "a"_a, "b"_a,
      "a_transposed"_a = false, "b_transposed"_a = false, computes());
  m.def(
      "linear",
      [](V x, V weight, const MaybeVariable& bias, const MaybeVariable& residual,
         const MaybeVariable& scale) {
        return linear(x, weight, or_none(bias), residual_of(residual, scale));
      },
      "x"_a, "weight"_a, "bias"_a = nb::none(), "residual"_a = nb::none(), "scale"_a = nb::none(),
      "x W^T + b; with a residual, residual + scale * (x W^T + b).", computes());
  m.def(
      "mlp",
      [](V x, V w1, const MaybeVariable& b1, V w2, const MaybeVariable& b2, const MaybeVariable& residual,
         const MaybeVariable& scale) {
        return mlp(x, {w1, or_none(b1)}, {w2, or_none(b2)}, residual_of(residual, scale));
      },
      "x"_a, "weight1"_a, "bias1"_a.none(), "weight2"_a, "bias2"_a.none(), "residual"_a = nb::none(),
      "scale"_a = nb::none(), "linear(gelu(linear(x, weight1)), weight2)", computes());
  m.def(
      "conv2d",
      [](V x, V weight, const MaybeVariable& bias, int64_t stride, int64_t padding, int64_t groups) {
        return conv2d(x, weight, or_none(bias), {stride, stride, padding, padding, groups});
      },
      "x"_a, "weight"_a, "bias"_a = nb::none(), "stride"_a = 1, "padding"_a = 0, "groups"_a = 1, computes());
  m.def(
      "quantized_linear",
      [](V x, const Tensor& weight, const std::optional<Tensor>& bias) {
        return quantized_linear(x, quantize_weight(weight, bias.value_or(Tensor())));
      },
      "x"_a, "weight"_a, "bias"_a = nb::none(),
      "linear() with the weight's rows and x's in int8; no gradient.", computes());
}

void bind_network_ops(nb::module_& m) {
  m.def("layer_norm", &layer_norm, "x"_a, "weight"_a, "bias"_a, "eps"_a, computes());
  m.def("softmax", &softmax, "x"_a, "Over the last axis.", computes());
  m.def("log_softmax", &log_softmax, "x"_a, computes());
  m.def("cross_entropy", &cross_entropy, "logits"_a, "labels"_a, "labels (N) i64; -100 does not count.",
        computes());
  m.def(
      "rope",
      [](V x, const Tensor& cosines, const Tensor& sines) {
        return rope(x, {cosines, sines});
      },
      "x"_a, "cosines"_a, "sines"_a, computes());
  m.def("attention", &attention, "q"_a, "k"_a, "v"_a, "scale"_a,
        "softmax(scale q k^T) v per head, (B, H, N, d).", computes());
  m.def(
      "packed_attention",
      [](V qkv, int64_t heads, double scale) { return packed_attention(qkv, heads, scale); }, "qkv"_a,
      "heads"_a, "scale"_a, computes());
  m.def("linear_attention", &linear_attention, "q"_a, "k"_a, "v"_a, "eps"_a, computes());
  m.def("packed_linear_attention", &packed_linear_attention, "qkv"_a, "heads"_a, "eps"_a, computes());
  m.def("dropout", &dropout, "x"_a, "p"_a, "generator"_a, computes());
  m.def("cosine_similarity", &cosine_similarity, "a"_a, "b"_a, "eps"_a = 1e-8, computes());
  m.def(
      "interpolate",
      [](V x, int64_t height, int64_t width, const std::string& mode, bool align_corners) {
        InterpolateArgs args;
        check_input(mode == "nearest" || mode == "bilinear" || mode == "bicubic",
                    "interpolate: '{}' is not one of nearest, bilinear, bicubic", mode);
        args.mode = mode == "nearest"    ? InterpolateMode::nearest
                    : mode == "bilinear" ? InterpolateMode::bilinear
                                         : InterpolateMode::bicubic;
        args.align_corners = align_corners;
        return interpolate(x, height, width, args);
      },
      "x"_a, "height"_a, "width"_a, "mode"_a = "bilinear", "align_corners"_a = false, computes());
}

}  // namespace

void bind_ops(nb::module_& m) {
  bind_elementwise(m);
  bind_shapes(m);
  bind_products(m);
  bind_network_ops(m);
}

}  // namespace dinomaly::python
