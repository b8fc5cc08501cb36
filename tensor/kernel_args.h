// What kernels are asked for: the names and argument structs of the backend interface (tensor/kernels.h).
// They stand apart from it because all that lies above tensor/ speaks of them, while only the files that call
// a kernel need the interface: a new kernel then compiles those again and not the whole tree.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace nabla {

// Elementwise functions; tensor/elementwise.h lists them.
enum class Unary : int;
enum class Binary : int;
enum class Compare : int;
struct UnaryArgs {
  double a = 0;  // pow: exponent; clamp: lower bound; elu: alpha; affine: a * x + b
  double b = 0;  // clamp: upper bound
};

enum class Reduce { sum, mean, max };

// What follows a matrix product before it is stored: out = residual + column_scale * act(a b + bias).
// Each tensor may be undefined.
struct Epilogue {
  enum class Activation { none, gelu };
  Tensor bias;                               // (N)
  Activation activation = Activation::none;  // gelu is the exact one (erf)
  Tensor column_scale;                       // (N): LayerScale
  Tensor residual;                           // shape of out; may be out itself
};

// The longest sum of products of two int8, each up to 127, or 128 where a kernel moves one of them up, that 31 bits hold.
inline constexpr int64_t quantized_depth = 0x7fffffff / (128 * 127);

struct Conv2dArgs {
  int64_t stride_y = 1, stride_x = 1;
  int64_t padding_y = 0, padding_x = 0;
  int64_t groups = 1;
};

enum class InterpolateMode { nearest, bilinear, bicubic };
// How output coordinate i of n finds its place among the inputs of m, per axis:
//   align_corners: i * (m - 1) / (n - 1) (0 where n = 1);  else bilinear and bicubic: (i + 0.5) * scale -
//   0.5; nearest: floor(i * scale). scale is m / n unless the caller sets another one.
// Bilinear clamps the place at 0; bicubic uses a = -0.75; neighbours outside are clamped to the border.
struct InterpolateArgs {
  InterpolateMode mode = InterpolateMode::bilinear;
  bool align_corners = false;
  double scale_y = 0, scale_x = 0;  // 0: m / n
};

struct StableAdamWArgs {
  double beta1, beta2, eps, weight_decay;
};
// One trained tensor and its state, all of the same shape. The state is f32 (f64 for f64 parameters). A bf16
// parameter is the rounded copy of its f32 master, which is what the steps add up in; others have none.
struct AdamSlot {
  Tensor parameter, gradient, first_moment, second_moment, max_second_moment;
  Tensor master = {};
};

}  // namespace nabla
