// The same elements seen through views of every kind, each inside of memory that is marked all around: who reads
// beside a view gets NaN, and who writes there is found out.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nabla {

struct ViewKind {
  std::string name;
  Tensor buffer;  // all of the memory
  Tensor view;    // the elements in it

  // Whether all of the buffer but the view is as it was. No element of the view may be a mark.
  bool is_untouched_beside() const {
    const std::vector<double> all = buffer.to_vector<double>(), mine = view.to_vector<double>();
    const auto marks = [&](const std::vector<double>& values) {
      int64_t count = 0;
      for (double value : values) count += is_mark(value) ? 1 : 0;
      return count;
    };
    return marks(all) == static_cast<int64_t>(all.size() - mine.size()) && marks(mine) == 0;
  }

  static double mark(Dtype dtype) {
    if (is_floating(dtype)) return std::numeric_limits<double>::quiet_NaN();
    if (dtype == Dtype::i8) return -5;
    return dtype == Dtype::u8 ? 251 : -123456;
  }
  bool is_mark(double value) const {
    return is_floating(buffer.dtype()) ? std::isnan(value) : value == mark(buffer.dtype());
  }
};

namespace detail {

inline Tensor marked(const Shape& shape, const Tensor& like) {
  return Tensor::full(shape, ViewKind::mark(like.dtype()), like.dtype(), like.device());
}

// x's axis i stands at places[i] of a buffer that is `wider` elements wider on every side.
inline ViewKind permuted_view(const std::string& name, const Tensor& x, const std::vector<int>& order,
                              int64_t wider) {
  Shape shape;
  std::vector<int> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    shape.push_back(x.size(order[i]) + 2 * wider);
    back[static_cast<size_t>(order[i])] = static_cast<int>(i);
  }
  ViewKind kind{name, marked(shape, x), {}};
  Tensor inner = kind.buffer;
  for (int axis = 0; axis < inner.rank(); ++axis) inner = inner.slice(axis, wider, inner.size(axis) - wider);
  kind.view = inner.permute(back);
  return kind;
}

}  // namespace detail

// Where x has no axis, or one, some kinds are the same as others.
inline std::vector<ViewKind> views_of(const Tensor& x) {
  std::vector<ViewKind> kinds;
  const int rank = x.rank();
  std::vector<int> forward, reversed, turned;
  for (int axis = 0; axis < rank; ++axis) {
    forward.push_back(axis);
    reversed.push_back(rank - 1 - axis);
    turned.push_back((axis + 1) % rank);
  }
  const Tensor row = detail::marked({x.numel() + 7}, x);
  kinds.push_back({"contiguous at an offset", row, row.slice(0, 3, 3 + x.numel()).reshape(x.shape())});
  kinds.push_back(detail::permuted_view("a block", x, forward, 1));
  if (rank > 1) {
    kinds.push_back(detail::permuted_view("transposed", x, reversed, 0));
    kinds.push_back(detail::permuted_view("a transposed block", x, reversed, 2));
  }
  if (rank > 2) kinds.push_back(detail::permuted_view("axes turned", x, turned, 0));
  if (rank > 0) {
    for (const int axis : {0, rank - 1}) {
      Shape shape = x.shape();
      shape[axis] = 3 * shape[axis] + 2;
      const Tensor buffer = detail::marked(shape, x);
      kinds.push_back({axis == 0 ? "every third row" : "every third column", buffer,
                       buffer.slice(axis, 2, buffer.size(axis), 3)});
    }
  }
  for (const ViewKind& kind : kinds) kind.view.copy_from(x);
  return kinds;
}

// Views that show one element several times: along each axis alone, and along all. Their elements are not all of x's.
inline std::vector<Tensor> expanded_views(const Tensor& x) {
  std::vector<Tensor> views;
  if (x.numel() == 0) return views;
  Tensor one = x;
  for (int axis = 0; axis < x.rank(); ++axis) {
    one = one.slice(axis, 0, 1);
    if (x.size(axis) > 1) views.push_back(x.slice(axis, 0, 1).expand(x.shape()));
  }
  if (views.size() > 1) views.push_back(one.expand(x.shape()));
  return views;
}

}  // namespace nabla
