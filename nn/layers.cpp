#include "nn/layers.h"

#include "tensor/ops.h"

namespace nabla {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  weight = parameter("weight", Tensor::zeros({out, in}));
  if (with_bias) bias = parameter("bias", Tensor::zeros({out}));
}

Variable Linear::operator()(const Variable& x, const Residual& then, std::optional<Dtype> result) const {
  if (watches_) watch(x.value());
  if (!is_quantized()) return linear(x, weight, bias, then);
  return quantized_linear(x, quantized(), Epilogue::Activation::none, then, result);
}

Variable Linear::for_product(const Variable& x) const {
  return is_quantized() ? (*this)(x, {}, Dtype::bf16) : (*this)(x);
}

Variable Linear::gelu(const Variable& x, const Linear& next) const {
  if (!is_quantized()) return nabla::gelu((*this)(x));
  return quantized_linear(x, quantized(), Epilogue::Activation::gelu, {},
                          next.is_quantized() ? Dtype::bf16 : x.dtype());
}

void Linear::watch_inputs(bool on) {
  if (on) largest_input = Tensor();
  watches_ = on;
}

void Linear::watch(const Tensor& x) const {
  const Tensor rows = x.to(Dtype::f32).contiguous().reshape({-1, x.size(-1)});
  const Tensor largest = reduce(Reduce::max, unary(Unary::abs, rows), {0}, false);
  largest_input = largest_input.defined() ? binary(Binary::maximum, largest_input, largest) : largest;
}

void Linear::quantize(const QuantizedWeights& weights) {
  const auto constant = [&](const char* name, const Tensor& value) {
    return value.defined() ? tie(name, Variable(value)) : Variable();
  };
  for (const char* name : {"weight", "weight_scale", "input_scale"}) remove(name);
  weight = constant("weight", weights.weight);
  weight_scale = constant("weight_scale", weights.scale);
  input_scale = constant("input_scale", weights.input_scale);
}

QuantizedWeights Linear::quantized() const {
  const auto scales = [](const Variable& of) { return of.defined() ? of.value().to(Dtype::f32) : Tensor(); };
  return {weight.value(), scales(weight_scale), bias.defined() ? bias.value() : Tensor(),
          scales(input_scale)};
}

LayerNorm::LayerNorm(int64_t width, double eps) : eps_(eps) {
  weight = parameter("weight", Tensor::ones({width}));
  bias = parameter("bias", Tensor::zeros({width}));
}

LayerScale::LayerScale(int64_t width, double start) {
  gamma = parameter("gamma", Tensor::full({width}, start));
}

Dropout::Dropout(double p) : p_(p) { check(p >= 0 && p < 1, "dropout: probability {} is not in [0, 1)", p); }

Variable Dropout::operator()(const Variable& x, Generator& generator) const {
  return training() && p_ > 0 ? dropout(x, p_, generator) : x;
}

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dArgs& args, bool with_bias)
    : args_(args) {
  check(args.groups > 0 && in % args.groups == 0, "conv2d: {} channels do not split into {} groups", in,
        args.groups);
  weight = parameter("weight", Tensor::zeros({out, in / args.groups, kernel, kernel}));
  if (with_bias) bias = parameter("bias", Tensor::zeros({out}));
}

PatchEmbed::PatchEmbed(int64_t patch, int64_t width, int64_t channels)
    : proj(add<Conv2d>("proj", channels, width, patch, Conv2dArgs{.stride_y = patch, .stride_x = patch})),
      patch_(patch) {
  check(patch >= 1, "patch_embed: a patch of {} pixels", patch);
}

Variable PatchEmbed::operator()(const Variable& images) const {
  const Shape& shape = images.shape();
  check(shape.rank() == 4 && shape[2] % patch_ == 0 && shape[3] % patch_ == 0,
        "patch_embed: images {} are not (B, C, H, W) with H and W multiples of the patch {}", shape, patch_);
  const Variable grid = proj(images);  // (B, D, h, w)
  return transpose(reshape(grid, {grid.size(0), grid.size(1), grid.size(2) * grid.size(3)}), 1, 2);
}

}  // namespace nabla
