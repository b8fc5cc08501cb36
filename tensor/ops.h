// Arithmetic on plain tensors, without gradient: what backward formulas, hooks and metrics are written in.
#pragma once

#include <utility>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/tensor.h"

namespace nabla {

// Elementwise with broadcasting. Both operands share dtype and device; errors name the op and both shapes.
Tensor binary(Binary op, const Tensor& a, const Tensor& b);
Tensor unary(Unary op, const Tensor& x, UnaryArgs args = {});
inline Tensor operator+(const Tensor& a, const Tensor& b) { return binary(Binary::add, a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return binary(Binary::sub, a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return binary(Binary::mul, a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return binary(Binary::div, a, b); }
inline Tensor operator*(const Tensor& x, double scale) { return unary(Unary::affine, x, {scale, 0}); }
inline Tensor operator*(double scale, const Tensor& x) { return unary(Unary::affine, x, {scale, 0}); }
inline Tensor operator+(const Tensor& x, double shift) { return unary(Unary::affine, x, {1, shift}); }
inline Tensor operator-(const Tensor& x) { return unary(Unary::neg, x); }
// a += b, in place; b broadcasts to a, which is contiguous.
void add_(const Tensor& a, const Tensor& b);

// u8 tensors of 0 and 1, with broadcasting.
Tensor compare(Compare op, const Tensor& a, const Tensor& b);
Tensor compare(Compare op, const Tensor& a, double value);
// condition (u8) ? a : b, with broadcasting of all three.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// Reduces `axes` (none given: all); keep leaves them in the shape with size 1. mean and max of nothing throw.
Tensor reduce(Reduce op, const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
// The gradient of a broadcast: sums x over the axes along which a tensor of `shape` was repeated
// to x's shape.
Tensor sum_to(const Tensor& x, const Shape& shape);

// Along `axis`: {values, indices (i64)}.
std::pair<Tensor, Tensor> sort(const Tensor& x, int axis = -1, bool descending = false);
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int axis = -1, bool largest = true);
Tensor argmax(const Tensor& x, int axis = -1);

// (..., M, K) x (..., K, N); leading axes are equal, or one operand has none. `transposed` operands are
// stored with their last two axes exchanged.
Tensor matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
              const Epilogue& epilogue = {}, bool frozen_b = false);

// Joins along an axis that exists (cat); all other sizes agree.
Tensor cat(const std::vector<Tensor>& parts, int axis);
// Rows of x along axis 0, in the order of `indices`.
Tensor gather_rows(const Tensor& x, const std::vector<int64_t>& indices);

}  // namespace nabla
