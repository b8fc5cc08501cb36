#include "tensor/ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "tensor/elementwise.h"
#include "tensor/kernels.h"

namespace nabla {

namespace {

constexpr const char* name_of(Binary op) {
  switch (op) {
    case Binary::add:
      return "add";
    case Binary::sub:
      return "sub";
    case Binary::mul:
      return "mul";
    case Binary::div:
      return "div";
    case Binary::maximum:
      return "maximum";
    case Binary::count:
      break;
  }
  return "?";
}

constexpr const char* name_of(Reduce op) {
  switch (op) {
    case Reduce::sum:
      return "sum";
    case Reduce::mean:
      return "mean";
    case Reduce::max:
      return "max";
  }
  return "?";
}

void check_operands(const char* op, const Tensor& a, const Tensor& b) {
  check(a.defined() && b.defined(), "{}: an operand is undefined", op);
  check(a.dtype() == b.dtype() && a.device() == b.device(),
        "{}: operands {} {} on {} and {} {} on {} are not alike", op, a.dtype(), a.shape(), a.device(),
        b.dtype(), b.shape(), b.device());
}

// What `axes` marks of `shape`; none given: all.
std::array<bool, Shape::max_rank> marked_axes(const char* op, const Shape& shape,
                                              const std::vector<int>& axes) {
  std::array<bool, Shape::max_rank> marked{};
  if (axes.empty()) marked.fill(true);
  for (int axis : axes) {
    bool& mark = marked[shape.wrap(axis)];
    check(!mark, "{}: axis {} is given twice for shape {}", op, axis, shape);
    mark = true;
  }
  return marked;
}

// Reduces the runs of neighbouring marked axes, innermost first, each by one kernel call on (outer, n,
// inner). Axes of size 1 break no run. The result has numel / (product of the marked sizes) elements
// and any shape.
Tensor reduce_runs(Reduce op, Tensor x, const std::array<bool, Shape::max_rank>& marked) {
  const Shape shape = x.shape();
  int64_t inner = 1;
  for (int axis = shape.rank() - 1; axis >= 0;) {
    if (!marked[axis] || shape[axis] == 1) {
      inner *= shape[axis--];
      continue;
    }
    int64_t count = 1;
    while (axis >= 0 && (marked[axis] || shape[axis] == 1)) count *= shape[axis--];
    int64_t outer = 1;
    for (int rest = 0; rest <= axis; ++rest) outer *= shape[rest];
    Tensor result = Tensor::empty({outer, inner}, x.dtype(), x.device());
    if (result.numel() > 0) kernels_for(x).reduce(op, x.reshape({outer, count, inner}), result);
    x = result;
  }
  return x;
}

// How many kernel calls that takes.
int count_runs(const Shape& shape, const std::array<bool, Shape::max_rank>& marked) {
  int runs = 0;
  bool inside = false;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) continue;
    runs += marked[axis] && !inside;
    inside = marked[axis];
  }
  return runs;
}

void check_axis(const char* op, const Tensor& x, int axis) {
  check(x.defined(), "{}: the tensor is undefined", op);
  check(axis >= -x.rank() && axis < x.rank(), "{}: axis {} is out of range for shape {}", op, axis,
        x.shape());
}

}  // namespace

Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  const char* name = name_of(op);
  check_operands(name, a, b);
  check(op != Binary::div || is_floating(a.dtype()), "div: expected a floating dtype, got {}", a.dtype());
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  Tensor result = Tensor::empty(shape, a.dtype(), a.device());
  if (result.numel() > 0) kernels_for(a).binary(op, a.expand(shape), b.expand(shape), result);
  return result;
}

Tensor unary(Unary op, const Tensor& x, UnaryArgs args) {
  check(x.defined() && is_floating(x.dtype()), "unary: expected a floating tensor, got {}",
        x.defined() ? nabla::name_of(x.dtype()) : "an undefined one");
  Tensor result = Tensor::empty_like(x);
  if (result.numel() > 0) kernels_for(x).unary(op, x, args, result);
  return result;
}

Tensor operator+(const Tensor& a, const Tensor& b) { return binary(Binary::add, a, b); }
Tensor operator-(const Tensor& a, const Tensor& b) { return binary(Binary::sub, a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return binary(Binary::mul, a, b); }
Tensor operator/(const Tensor& a, const Tensor& b) { return binary(Binary::div, a, b); }
Tensor operator*(const Tensor& x, double scale) { return unary(Unary::affine, x, {scale, 0}); }
Tensor operator*(double scale, const Tensor& x) { return unary(Unary::affine, x, {scale, 0}); }
Tensor operator+(const Tensor& x, double shift) { return unary(Unary::affine, x, {1, shift}); }
Tensor operator-(const Tensor& x) { return unary(Unary::neg, x); }

void add_(const Tensor& a, const Tensor& b) {
  check_operands("add_", a, b);
  check(broadcast_shapes("add_", a.shape(), b.shape()) == a.shape(), "add_: shape {} does not expand to {}",
        b.shape(), a.shape());
  check(a.is_contiguous(), "add_: the target of shape {} is not contiguous", a.shape());
  if (a.numel() == 0) return;
  Tensor addend = b.expand(a.shape());
  if (a.overlaps(addend) && !a.is_same_view(addend)) addend = addend.clone();
  kernels_for(a).binary(Binary::add, a, addend, a);
  a.mark_written();
}

Tensor compare(Compare op, const Tensor& a, const Tensor& b) {
  check_operands("compare", a, b);
  const Shape shape = broadcast_shapes("compare", a.shape(), b.shape());
  Tensor result = Tensor::empty(shape, Dtype::u8, a.device());
  if (result.numel() > 0) kernels_for(a).compare(op, a.expand(shape), b.expand(shape), result);
  return result;
}

Tensor compare(Compare op, const Tensor& a, double value) {
  check(a.defined(), "compare: the tensor is undefined");
  const double least = a.dtype() == Dtype::u8 ? 0 : a.dtype() == Dtype::i8 ? -128 : -0x1p53;
  const double most = a.dtype() == Dtype::u8 ? 255 : a.dtype() == Dtype::i8 ? 127 : 0x1p53;
  const bool fits = is_floating(a.dtype()) || (value == std::trunc(value) && value >= least && value <= most);
  check(fits, "compare: {} is not a value of {}", value, a.dtype());
  return compare(op, a, Tensor::full({}, value, a.dtype(), a.device()));
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  check_operands("where", a, b);
  check(condition.defined() && condition.dtype() == Dtype::u8 && condition.device() == a.device(),
        "where: the condition must be a u8 tensor on {}", a.device());
  const Shape shape =
      broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  Tensor result = Tensor::empty(shape, a.dtype(), a.device());
  if (result.numel() > 0)
    kernels_for(a).where(condition.expand(shape), a.expand(shape), b.expand(shape), result);
  return result;
}

Tensor reduce(Reduce op, const Tensor& x, const std::vector<int>& axes, bool keep) {
  const char* name = name_of(op);
  check(x.defined(), "{}: the tensor is undefined", name);
  check(op != Reduce::mean || is_floating(x.dtype()), "mean: expected a floating dtype, got {}", x.dtype());
  const auto marked = marked_axes(name, x.shape(), axes);
  Shape target;
  int64_t count = 1;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!marked[axis])
      target.push_back(x.size(axis));
    else if (keep)
      target.push_back(1);
    if (marked[axis]) count *= x.size(axis);
  }
  check(count > 0 || op == Reduce::sum, "{}: nothing to reduce in shape {}", name, x.shape());
  // Sums of bytes would overflow at once. What goes on after a first run keeps more than bf16's 8 bits.
  Tensor source = x.contiguous();
  if (size_of(x.dtype()) == 1 && op == Reduce::sum) source = source.to(Dtype::i64);
  if (x.numel() == 0) return Tensor::zeros(target, source.dtype(), x.device());
  const bool goes_on = op == Reduce::mean || count_runs(x.shape(), marked) > 1;
  if (x.dtype() == Dtype::bf16 && goes_on) source = source.to(Dtype::f32);
  Tensor result = reduce_runs(op == Reduce::mean ? Reduce::sum : op, source, marked);
  if (op == Reduce::mean) result = result * (1.0 / static_cast<double>(count));
  if (x.dtype() == Dtype::bf16) result = result.to(Dtype::bf16);  // itself if it is
  if (result.storage() == x.storage()) result = result.clone();
  return result.reshape(target);
}

Tensor as_rows(const Tensor& x) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.size(axis);
  return x.contiguous().reshape({rows, x.shape().back()});
}

std::pair<Tensor, Tensor> quantize_rows(const Tensor& x) {
  check(x.defined() && x.rank() == 2 && (x.dtype() == Dtype::f32 || x.dtype() == Dtype::bf16),
        "quantize_rows: expected a matrix of f32 or bf16, got {} {}", x.dtype(), x.shape());
  const Tensor quantized = Tensor::empty(x.shape(), Dtype::i8, x.device());
  const Tensor scale = Tensor::empty({x.size(0)}, Dtype::f32, x.device());
  kernels_for(x).quantize_rows(x.contiguous(), quantized, scale);
  return {quantized, scale};
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check(x.defined(), "sum_to: the tensor is undefined");
  const int lead = x.rank() - shape.rank();
  check(broadcast_shapes("sum_to", x.shape(), shape) == x.shape(), "sum_to: shape {} does not expand to {}",
        shape, x.shape());
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (axis < lead || (shape[axis - lead] == 1 && x.size(axis) != 1)) axes.push_back(axis);
  }
  return axes.empty() ? x : reduce(Reduce::sum, x, axes).reshape(shape);
}

std::pair<Tensor, Tensor> sort(const Tensor& x, int axis, bool descending) {
  check_axis("sort", x, axis);
  const Tensor moved = x.transpose(axis, -1);
  const Tensor rows = as_rows(moved);
  Tensor values = Tensor::empty_like(rows);
  Tensor indices = Tensor::empty(rows.shape(), Dtype::i64, x.device());
  if (x.numel() > 0) kernels_for(x).sort(rows, descending, values, indices);
  return {values.reshape(moved.shape()).transpose(axis, -1).contiguous(),
          indices.reshape(moved.shape()).transpose(axis, -1).contiguous()};
}

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int axis, bool largest) {
  check_axis("topk", x, axis);
  check(k >= 0 && k <= x.size(axis), "topk: k = {} does not fit axis {} of shape {}", k, axis, x.shape());
  const Tensor moved = x.transpose(axis, -1);
  const Tensor rows = as_rows(moved);
  Tensor values = Tensor::empty({rows.size(0), k}, x.dtype(), x.device());
  Tensor indices = Tensor::empty({rows.size(0), k}, Dtype::i64, x.device());
  if (values.numel() > 0) kernels_for(x).topk(rows, k, largest, values, indices);
  Shape shape = moved.shape();
  shape[-1] = k;
  return {values.reshape(shape).transpose(axis, -1).contiguous(),
          indices.reshape(shape).transpose(axis, -1).contiguous()};
}

Tensor kth_largest(const Tensor& x, const Tensor& k) {
  check(x.defined() && k.defined(), "kth_largest: a tensor is undefined");
  check(k.numel() == 1 && k.dtype() == Dtype::i64, "kth_largest: k must be one i64, not {} of shape {}",
        k.dtype(), k.shape());
  check(x.numel() > 0, "kth_largest: shape {} has no elements", x.shape());
  check(k.device() == x.device(), "kth_largest: k on {}, the elements on {}", k.device(), x.device());
  if (k.device().is_cpu()) {  // elsewhere it cannot be read without waiting
    const int64_t place = *k.data<int64_t>();
    check(place >= 1 && place <= x.numel(), "kth_largest: k = {} does not fit shape {}", place, x.shape());
  }
  Tensor out = Tensor::empty({1}, x.dtype(), x.device());
  kernels_for(x).kth_largest(x.contiguous().flatten(), k, out);
  return out;
}

Tensor argmax(const Tensor& x, int axis) {
  check_axis("argmax", x, axis);
  axis = x.shape().wrap(axis);
  check(x.size(axis) > 0, "argmax: axis {} of shape {} is empty", axis, x.shape());
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= x.size(i);
  for (int i = axis + 1; i < x.rank(); ++i) inner *= x.size(i);
  Shape shape = x.shape();
  shape.erase(axis);
  Tensor result = Tensor::empty({outer, inner}, Dtype::i64, x.device());
  if (result.numel() > 0)
    kernels_for(x).arg_max(x.contiguous().reshape({outer, x.size(axis), inner}), result);
  return result.reshape(shape);
}

Tensor cat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "cat: nothing to join");
  check_axis("cat", parts[0], axis);
  axis = parts[0].shape().wrap(axis);
  Shape shape = parts[0].shape();
  shape[axis] = 0;
  for (const Tensor& part : parts) {
    check_operands("cat", parts[0], part);
    Shape rest = part.shape();
    if (axis < rest.rank()) rest[axis] = parts[0].size(axis);
    check(rest == parts[0].shape(), "cat: shapes {} and {} do not join along axis {}", parts[0].shape(),
          part.shape(), axis);
    shape[axis] += part.size(axis);
  }
  Tensor result = Tensor::empty(shape, parts[0].dtype(), parts[0].device());
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    result.slice(axis, begin, begin + part.size(axis)).copy_from(part);
    begin += part.size(axis);
  }
  return result;
}

Tensor gather_rows(const Tensor& x, const std::vector<int64_t>& indices) {
  check(x.defined() && x.rank() >= 1, "gather_rows: the tensor has no rows");
  Shape shape = x.shape();
  shape[0] = static_cast<int64_t>(indices.size());
  Tensor result = Tensor::empty(shape, x.dtype(), x.device());
  for (int64_t row = 0; row < shape[0]; ++row) {
    const int64_t from = indices[row];
    check(from >= 0 && from < x.size(0), "gather_rows: row {} is out of range for shape {}", from, x.shape());
    result.select(0, row).copy_from(x.select(0, from));
  }
  return result;
}

}  // namespace nabla
