// y = x W^T + b over the last axis with W about scale * Q: int8 products, for inference.
//   x (..., I), Q i8 (O, I), scale f32 (O), bias (O) or undefined -> y (..., O)
// Each row of x, multiplied by the input scale where there is one, is quantised, too, to s * q with s = max |x| / 127.
// Integers are then summed exactly, in int32:
//   y[r, o] = (sum_i q[r, i] Q[o, i]) * (s[r] scale[o]) + b[o]
// With half a step of rounding on each factor, |x_i - s q_i| <= s / 2 and |W_i - scale Q_i| <= scale / 2, a sum is off by
// at most sum_i (s / 2 |W_i| + scale / 2 |x_i| + s scale / 4). A row with NaN or infinity gives NaN.
// [snippet: example]
//   x = (0.5, -1, 0.25)     s = 1 / 127       q = (64, -127, 32)       63.5 is rounded to the even 64
//   W = (0.2, 0.1, -0.4)    S = 0.4 / 127     Q = (64, 32, -127)
//   y = (64 * 64 - 127 * 32 - 32 * 127) s S
// [end]
// No derivative: rounding has none that is of use.
#include "autograd/ops/common.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

constexpr const char* op = "quantized_linear";

Variable constant(const Tensor& tensor) { return tensor.defined() ? Variable(tensor) : Variable(); }

void check_quantized(const Variable& x, const QuantizedWeights& layer, const Residual& then, Dtype result) {
  for (const Dtype dtype : {x.dtype(), result})
    check(dtype == Dtype::f32 || dtype == Dtype::bf16, "{}: expected x and y of f32 or bf16, got {}", op,
          dtype);
  for (const Variable* part : {&then.x, &then.scale}) {
    if (!part->defined()) continue;
    check(part->dtype() == result && part->device() == x.device(),
          "{}: the result is {} on {}, the residual or its scale {} on {}", op, result, x.device(),
          part->dtype(), part->device());
  }
  check_linear(op, x.shape(), {constant(layer.weight), constant(layer.bias)});
  check(layer.weight.dtype() == Dtype::i8 && layer.scale.defined() && layer.scale.dtype() == Dtype::f32 &&
            layer.scale.shape() == Shape{layer.weight.size(0)},
        "{}: expected a weight of i8 and its scale of f32 ({}), got {} {} and {} {}", op,
        layer.weight.size(0), layer.weight.dtype(), layer.weight.shape(), layer.scale.dtype(),
        layer.scale.shape());
  check(!layer.input_scale.defined() || (layer.input_scale.dtype() == Dtype::f32 &&
                                         layer.input_scale.shape() == Shape{layer.weight.size(1)}),
        "{}: expected an input_scale of f32 ({}), got {} {}", op, layer.weight.size(1),
        layer.input_scale.dtype(), layer.input_scale.shape());
  for (const Tensor* tensor : {&layer.weight, &layer.scale, &layer.bias, &layer.input_scale}) {
    check(!tensor->defined() || tensor->device() == x.device(), "{}: x is on {}, the layer on {}", op,
          x.device(), tensor->device());
  }
  check(!layer.bias.defined() || layer.bias.dtype() == Dtype::f32 || layer.bias.dtype() == x.dtype(),
        "{}: bias of {} with x of {}", op, layer.bias.dtype(), x.dtype());
  check(layer.weight.size(1) <= quantized_depth, "{}: weight {} has rows of more than {}", op,
        layer.weight.shape(), quantized_depth);
  for (const Variable* input : {&x, &then.x, &then.scale}) {
    check(!GradMode::enabled() || !wants_gradient(*input),
          "{}: has no gradient; call it in no_grad or use the differentiable form", op);
  }
}

}  // namespace

QuantizedWeights quantize_weight(const Tensor& weight, const Tensor& bias) {
  const auto [quantized, scale] = quantize_rows(weight);
  return {quantized, scale, bias};
}

Variable quantized_linear(const Variable& x, const QuantizedWeights& layer, Epilogue::Activation activation,
                          const Residual& then, std::optional<Dtype> result) {
  check(x.defined() && layer.weight.defined(), "{}: x or the weight is undefined", op);
  check_quantized(x, layer, then, result.value_or(x.dtype()));
  Shape shape = x.shape();
  shape[-1] = layer.weight.size(0);
  check_residual(op, shape, then);
  const Tensor y = Tensor::empty(shape, result.value_or(x.dtype()), x.device());
  if (y.numel() == 0) return Variable(y);
  Epilogue epilogue;
  epilogue.activation = activation;
  if (layer.bias.defined()) epilogue.bias = layer.bias.contiguous();
  if (then.scale.defined()) epilogue.column_scale = then.scale.value().contiguous();
  if (then.x.defined()) epilogue.residual = as_rows(then.x.value());
  const Tensor factors = layer.input_scale.defined() ? layer.input_scale.contiguous() : Tensor();
  kernels_for(x).quantized_matmul(as_rows(x.value()), factors, layer.weight.contiguous(),
                                  layer.scale.contiguous(), as_rows(y), epilogue);
  return Variable(y);
}

}  // namespace nabla
