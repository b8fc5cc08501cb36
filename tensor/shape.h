// Shape: the sizes of a tensor's axes, outermost first. A value of fixed size, so it never allocates.
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace nabla {

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), sizes.end()) {}
  explicit Shape(const std::vector<int64_t>& sizes) : Shape(sizes.begin(), sizes.end()) {}
  template <class Iterator>
  Shape(Iterator begin, Iterator end) {
    for (; begin != end; ++begin) push_back(*begin);
  }

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  // Negative axes count from the end: shape[-1] is the innermost size. Out of range throws.
  int64_t operator[](int axis) const { return sizes_[wrap(axis)]; }
  int64_t& operator[](int axis) { return sizes_[wrap(axis)]; }
  int64_t back() const { return (*this)[-1]; }

  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }

  void push_back(int64_t size) {
    check(rank_ < max_rank, "shape: more than {} axes", max_rank);
    sizes_[rank_++] = size;
  }
  void insert(int axis, int64_t size);
  void erase(int axis);

  // Product of the sizes; 1 for a scalar.
  int64_t numel() const {
    int64_t count = 1;
    for (int64_t size : *this) count *= size;
    return count;
  }
  // Axis in [-rank, rank) as an index in [0, rank); throws otherwise.
  int wrap(int axis) const {
    // Not check(): its arguments, the text of the shape, would be made at every access.
    if (axis < -rank_ || axis >= rank_) fail("axis {} is out of range for shape {}", axis, to_string());
    return axis < 0 ? axis + rank_ : axis;
  }

  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int axis = 0; axis < rank_; ++axis) {
      if (sizes_[axis] != other.sizes_[axis]) return false;
    }
    return true;
  }
  std::string to_string() const;  // "(2, 3)"

 private:
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

// Steps between neighbours along each axis, in elements.
using Strides = Shape;

// The strides of a row-major tensor without gaps.
Strides contiguous_strides(const Shape& shape);

// The shape both operands expand to (numpy's rule: sizes are equal or one of them is 1, aligned at the last
// axis). Throws "op: ..." with both shapes where there is none.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

}  // namespace nabla

template <>
struct fmt::formatter<nabla::Shape> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(const nabla::Shape& shape, fmt::format_context& context) const;
};
