#include "tensor/tensor.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "tensor/kernels.h"

namespace nabla {

namespace {

// Throws unless every size is >= 0 and the bytes of a tensor of `shape` can be counted: products of sizes,
// even beside a size of 0, are then free of overflow everywhere else.
void check_sizes(const char* op, const Shape& shape, Dtype dtype) {
  int64_t bytes = static_cast<int64_t>(size_of(dtype));
  for (int64_t size : shape) {
    check(size >= 0, "{}: shape {} has a negative size", op, shape);
    check(!__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes),
          "{}: shape {} of {} is too large", op, shape, dtype);
  }
}

// The strides that show elements of (shape, strides) as `target` without moving any; none if a copy is
// needed. Both shapes have the same numel > 0. Axes of size 1 are left out; then both shapes split into the
// same chunks, and within a chunk the old axes must lie one after the other in memory.
std::optional<Strides> view_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Shape sizes, steps;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) continue;
    sizes.push_back(shape[axis]);
    steps.push_back(strides[axis]);
  }
  Strides result = contiguous_strides(target);
  int axis = sizes.rank() - 1;  // walks through the old axes from the innermost
  int64_t chunk = 1;            // elements of the current chunk taken by old axes, and by new ones
  int64_t taken = 1;
  int64_t base = 1;  // stride of the chunk's innermost elements
  for (int out = target.rank() - 1; out >= 0; --out) {
    if (target[out] == 1) continue;
    if (taken == chunk) {
      base = steps[axis];
      chunk = sizes[axis--];
      taken = 1;
    }
    result[out] = base * taken;
    taken *= target[out];
    while (chunk % taken != 0) {
      if (axis < 0 || steps[axis] != base * chunk) return std::nullopt;
      chunk *= sizes[axis--];
    }
  }
  return result;
}

template <class Draw>
Tensor draw(const char* op, const Shape& shape, Dtype dtype, const Draw& next) {
  check(is_floating(dtype), "{}: expected a floating dtype, got {}", op, dtype);
  Tensor result = Tensor::empty(shape, dtype);
  visit_floating(dtype, [&](auto type) {
    using T = decltype(type);
    T* values = result.data<T>();
    const int64_t count = result.numel();
    for (int64_t i = 0; i < count; ++i) values[i] = next(type);
  });
  return result;
}

}  // namespace

Tensor Tensor::allocate(const Shape& shape, Dtype dtype, Device device, bool* cleared) {
  check_sizes("empty", shape, dtype);
  Tensor result;
  result.shape_ = shape;
  result.strides_ = contiguous_strides(shape);
  result.dtype_ = dtype;
  result.storage_ = std::make_shared<Storage>(result.bytes(), device, cleared);
  return result;
}

Tensor Tensor::empty(const Shape& shape, Dtype dtype, Device device) {
  return allocate(shape, dtype, device, nullptr);
}

Tensor Tensor::full(const Shape& shape, double value, Dtype dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  result.fill(value);
  return result;
}

// The system's memory comes as zeros, and costs nothing as long as nobody touches it: the weights of a model
// that will be loaded anyway.
Tensor Tensor::zeros(const Shape& shape, Dtype dtype, Device device) {
  bool cleared = false;
  Tensor result = allocate(shape, dtype, device, &cleared);
  if (!cleared) result.fill(0);
  return result;
}

Tensor Tensor::ones(const Shape& shape, Dtype dtype, Device device) { return full(shape, 1, dtype, device); }

Tensor Tensor::arange(int64_t count, Dtype dtype) {
  Tensor result = empty({count}, dtype);
  visit(dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>)
      check(std::in_range<T>(std::max<int64_t>(count - 1, 0)), "arange: {} does not hold {}", dtype,
            count - 1);
    for (int64_t i = 0; i < count; ++i) result.data<T>()[i] = static_cast<T>(i);
  });
  return result;
}

Tensor Tensor::uniform(const Shape& shape, double low, double high, Generator& generator, Dtype dtype) {
  check(low <= high, "uniform: low {} is above high {}", low, high);
  return draw("uniform", shape, dtype, [&](auto type) {
    using T = decltype(type);
    // Rounding to T may reach `high`, which does not belong to the interval: draw again.
    T value;
    do {
      value = static_cast<T>(low + (high - low) * generator.uniform());
    } while (low < high && static_cast<double>(value) >= high && static_cast<T>(low) != value);
    return value;
  });
}

Tensor Tensor::normal(const Shape& shape, double mean, double std, Generator& generator, Dtype dtype) {
  return draw("normal", shape, dtype,
              [&](auto type) { return static_cast<decltype(type)>(mean + std * generator.normal()); });
}

Tensor Tensor::wrap(void* data, const Shape& shape, Dtype dtype, std::shared_ptr<const void> owner,
                    Device device, bool mapped) {
  check_sizes("wrap", shape, dtype);
  Tensor result;
  result.shape_ = shape;
  result.strides_ = contiguous_strides(shape);
  result.dtype_ = dtype;
  // Without an owner the memory is merely borrowed; a pointer that owns nothing says so to Storage.
  if (owner == nullptr) owner = std::shared_ptr<const void>(std::shared_ptr<const void>(), data);
  result.storage_ = std::make_shared<Storage>(data, result.bytes(), device, std::move(owner), mapped);
  return result;
}

bool Tensor::is_contiguous() const {
  int64_t step = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    if (shape_[axis] == 0) return true;
    if (shape_[axis] != 1 && strides_[axis] != step) return numel() == 0;
    step *= shape_[axis];
  }
  return true;
}

Tensor Tensor::transpose(int axis_a, int axis_b) const {
  Tensor result = *this;
  std::swap(result.shape_[axis_a], result.shape_[axis_b]);
  std::swap(result.strides_[axis_a], result.strides_[axis_b]);
  return result;
}

Tensor Tensor::permute(const std::vector<int>& axes) const {
  check(static_cast<int>(axes.size()) == rank(), "permute: {} axes given for shape {}", axes.size(), shape_);
  Tensor result = *this;
  unsigned seen = 0;
  for (int axis = 0; axis < rank(); ++axis) {
    const int from = shape_.wrap(axes[axis]);
    check((seen >> from & 1u) == 0, "permute: axis {} is given twice for shape {}", axes[axis], shape_);
    seen |= 1u << from;
    result.shape_[axis] = shape_[from];
    result.strides_[axis] = strides_[from];
  }
  return result;
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end, int64_t step) const {
  axis = shape_.wrap(axis);
  check(0 <= begin && begin <= end && end <= shape_[axis] && step >= 1,
        "slice: [{}, {}) with step {} does not fit axis {} of shape {}", begin, end, step, axis, shape_);
  Tensor result = *this;
  const int64_t size = end == begin ? 0 : (end - begin - 1) / step + 1;
  result.offset_ += begin * strides_[axis];
  result.shape_[axis] = size;
  if (size > 1) result.strides_[axis] = strides_[axis] * step;
  return result;
}

Tensor Tensor::select(int axis, int64_t index) const {
  axis = shape_.wrap(axis);
  check(index >= 0 && index < shape_[axis], "select: index {} is out of range for axis {} of shape {}", index,
        axis, shape_);
  Tensor result = *this;
  result.offset_ += index * strides_[axis];
  result.shape_.erase(axis);
  result.strides_.erase(axis);
  return result;
}

Tensor Tensor::expand(const Shape& shape) const {
  check_sizes("expand", shape, dtype_);
  const int lead = shape.rank() - rank();
  check(lead >= 0, "expand: shape {} does not expand to {}", shape_, shape);
  Tensor result = *this;
  result.shape_ = shape;
  result.strides_ = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool repeated = axis < lead || shape_[axis - lead] != shape[axis];
    check(!repeated || axis < lead || shape_[axis - lead] == 1, "expand: shape {} does not expand to {}",
          shape_, shape);
    result.strides_[axis] = repeated ? 0 : strides_[axis - lead];
  }
  return result;
}

Tensor Tensor::unsqueeze(int axis) const {
  check(axis >= -rank() - 1 && axis <= rank(), "unsqueeze: axis {} is out of range for shape {}", axis,
        shape_);
  if (axis < 0) axis += rank() + 1;
  Tensor result = *this;
  const int64_t stride = axis < rank() ? strides_[axis] * shape_[axis] : 1;
  result.shape_.insert(axis, 1);
  result.strides_.insert(axis, stride);
  return result;
}

Tensor Tensor::squeeze(int axis) const {
  axis = shape_.wrap(axis);
  check(shape_[axis] == 1, "squeeze: axis {} of shape {} is not of size 1", axis, shape_);
  Tensor result = *this;
  result.shape_.erase(axis);
  result.strides_.erase(axis);
  return result;
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(defined(), "reshape: the tensor is undefined");
  Shape target = shape;
  int unknown = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != -1) continue;
    check(unknown < 0, "reshape: {} to {}: more than one size is -1", shape_, shape);
    unknown = axis;
    target[axis] = 1;
  }
  check_sizes("reshape", target, dtype_);
  if (unknown >= 0) {
    const int64_t known = target.numel();
    check(known != 0 && numel() % known == 0, "reshape: {} does not fit {}", shape_, shape);
    target[unknown] = numel() / known;
  }
  check(target.numel() == numel(), "reshape: {} does not fit {}", shape_, shape);
  Tensor result = *this;
  if (numel() == 0 || is_contiguous()) {
    result.strides_ = contiguous_strides(target);
  } else if (const auto strides = view_strides(shape_, strides_, target)) {
    result.strides_ = *strides;
  } else {
    result = clone();
    result.strides_ = contiguous_strides(target);
  }
  result.shape_ = target;
  return result;
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  Tensor result = empty_like(*this);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Dtype dtype) const {
  if (dtype == dtype_) return *this;
  Tensor result = empty(shape_, dtype, device());
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  Tensor result = empty(shape_, dtype_, device);
  result.copy_from(*this);
  return result;
}

void* Tensor::raw_data() const {
  check(defined(), "raw_data(): the tensor is undefined");
  return static_cast<std::byte*>(storage_->data()) + offset_ * static_cast<int64_t>(size_of(dtype_));
}

double Tensor::item() const {
  check(defined(), "item(): the tensor is undefined");
  check(numel() == 1, "item(): shape {} has {} elements, not one", shape_, numel());
  const Tensor local = to(Device::cpu());
  return visit(dtype_, [&](auto type) { return static_cast<double>(*local.data<decltype(type)>()); });
}

}  // namespace nabla
