// cat joins tensors along an axis they have: sizes along it add up, all others agree. stack joins tensors of
// one shape along a new axis. Each part's gradient is its slice of dy. Saved: sizes only.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable cat(const std::vector<Variable>& parts, int axis) {
  check(!parts.empty(), "cat: nothing to join");
  std::vector<Tensor> values;
  std::vector<int64_t> sizes;
  std::vector<bool> needed;
  for (const Variable& part : parts) {
    values.push_back(part.value());
    sizes.push_back(part.size(axis));
    needed.push_back(wants_gradient(part));
  }
  return record("cat", cat(values, axis), parts, [sizes, needed, axis](const Tensor& dy) -> Gradients {
    Gradients gradients;
    int64_t begin = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      gradients.push_back(needed[i] ? dy.slice(axis, begin, begin + sizes[i]) : Tensor());
      begin += sizes[i];
    }
    return gradients;
  });
}

Variable stack(const std::vector<Variable>& parts, int axis) {
  check(!parts.empty(), "stack: nothing to join");
  const Shape& shape = parts[0].shape();
  const int rank = shape.rank() + 1;
  check(axis >= -rank && axis < rank, "stack: axis {} is out of range for parts of {}", axis, shape);
  const int at = axis < 0 ? axis + rank : axis;
  Shape widened = shape;
  widened.insert(at, 1);
  std::vector<Variable> slabs;
  for (const Variable& part : parts) {
    check(part.shape() == shape, "stack: parts of {} and {} differ", shape, part.shape());
    slabs.push_back(reshape(part, widened));
  }
  return cat(slabs, at);
}

}  // namespace nabla
