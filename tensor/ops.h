// Arithmetic on plain tensors, without gradient: what backward formulas, hooks and metrics are written in.
#pragma once

#include <utility>
#include <vector>

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// Elementwise with broadcasting. Both operands share dtype and device; errors name the op and both shapes.
Tensor binary(Binary op, const Tensor& a, const Tensor& b);
Tensor unary(Unary op, const Tensor& x, UnaryArgs args = {});
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& x, double scale);
Tensor operator*(double scale, const Tensor& x);
Tensor operator+(const Tensor& x, double shift);
Tensor operator-(const Tensor& x);
// a += b, in place; b broadcasts to a, which is contiguous. b may overlap a: what is added is what b was before.
void add_(const Tensor& a, const Tensor& b);

// Whether no value is NaN or infinite; so it is for integers and an undefined tensor. Of any device and strides.
bool is_finite(const Tensor& tensor);

// u8 tensors of 0 and 1, with broadcasting.
Tensor compare(Compare op, const Tensor& a, const Tensor& b);
// Throws where `value` is none of an integer dtype's.
Tensor compare(Compare op, const Tensor& a, double value);
// condition (u8) ? a : b, with broadcasting of all three.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// Reduces `axes` (none given: all); keep leaves them in the shape with size 1. The sum of u8 or i8 is i64, the mean is for
// floating dtypes only. mean and max of nothing throw.
Tensor reduce(Reduce op, const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
// The gradient of a broadcast: sums x over the axes along which a tensor of `shape` was repeated
// to x's shape.
Tensor sum_to(const Tensor& x, const Shape& shape);

// x (..., n) as the contiguous (rows, n) that row kernels take. x must have an axis.
Tensor as_rows(const Tensor& x);

// Along `axis`: {values, indices (i64)}.
std::pair<Tensor, Tensor> sort(const Tensor& x, int axis = -1, bool descending = false);
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int axis = -1, bool largest = true);
// The k-th largest of all elements, in the order of sort(): (1). k (1) i64, from 1 to their number, stays on the device.
Tensor kth_largest(const Tensor& x, const Tensor& k);
Tensor argmax(const Tensor& x, int axis = -1);

// (..., M, K) x (..., K, N); leading axes are equal, or one operand has none. `transposed` operands are
// stored with their last two axes exchanged. The epilogue's tensors have a's dtype and device: bias and column_scale (N), and
// the residual of the result's shape. Throws Error naming the shapes or dtypes that do not fit.
Tensor matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
              const Epilogue& epilogue = {}, bool frozen_b = false);

// The rows of x (rows, n), f32 or bf16, as int8 (backends/common/quantize.h): {i8 (rows, n), scales f32 (rows)}.
std::pair<Tensor, Tensor> quantize_rows(const Tensor& x);

// Joins along an axis that exists (cat); all other sizes agree.
Tensor cat(const std::vector<Tensor>& parts, int axis);
// Rows of x along axis 0, in the order of `indices`.
Tensor gather_rows(const Tensor& x, const std::vector<int64_t>& indices);

}  // namespace nabla
