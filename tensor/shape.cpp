#include "tensor/shape.h"

#include <fmt/format.h>

#include <algorithm>

namespace nabla {

void Shape::insert(int axis, int64_t size) {
  check(axis >= 0 && axis <= rank_, "shape: cannot insert axis {} into {}", axis, to_string());
  push_back(size);
  std::rotate(sizes_.begin() + axis, sizes_.begin() + rank_ - 1, sizes_.begin() + rank_);
}

void Shape::erase(int axis) {
  axis = wrap(axis);
  std::copy(sizes_.begin() + axis + 1, sizes_.begin() + rank_, sizes_.begin() + axis);
  sizes_[--rank_] = 0;
}

std::string Shape::to_string() const { return fmt::format("({})", fmt::join(begin(), end(), ", ")); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  Shape result = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  const int lead = result.rank() - shorter.rank();
  for (int axis = 0; axis < shorter.rank(); ++axis) {
    const int64_t size = shorter[axis];
    int64_t& out = result[lead + axis];
    check(size == out || size == 1 || out == 1, "{}: shapes {} and {} do not broadcast", op, a, b);
    if (out == 1) out = size;
  }
  return result;
}

}  // namespace nabla

fmt::format_context::iterator fmt::formatter<nabla::Shape>::format(const nabla::Shape& shape,
                                                                   fmt::format_context& context) const {
  return fmt::formatter<fmt::string_view>::format(shape.to_string(), context);
}
