// Writing into a tensor that already exists: what may be written, and whether what is read lies there, too.
#include <cstdint>
#include <utility>

#include "tensor/kernels.h"
#include "tensor/tensor.h"

namespace nabla {

namespace {

// The addresses [begin, end) of the bytes from a tensor's first element to its last; no stride is negative.
std::pair<uintptr_t, uintptr_t> address_range(const Tensor& x) {
  int64_t last = 0;
  for (int axis = 0; axis < x.rank(); ++axis) last += (x.size(axis) - 1) * x.strides()[axis];
  const auto begin = reinterpret_cast<uintptr_t>(x.raw_data());
  return {begin, begin + static_cast<uintptr_t>(last + 1) * size_of(x.dtype())};
}

void check_writable(const char* op, const Tensor& x) {
  check(
      !x.repeats_elements(),
      "{}: an expanded tensor of shape {} and strides {} cannot be written: several of its elements are one "
      "in memory",
      op, x.shape(), x.strides());
}

}  // namespace

void Tensor::copy_from(const Tensor& source) const {
  check(defined() && source.defined(), "copy: a tensor is undefined");
  check(shape_ == source.shape_, "copy: shapes {} and {} differ", source.shape_, shape_);
  if (numel() == 0) return;
  check_writable("copy", *this);
  if (overlaps(source)) {  // an element might be written before it is read
    if (!is_same_view(source)) copy_from(source.clone());
    return;
  }
  kernels_for(device().is_cpu() ? source : *this).copy(source, *this);
  mark_written();
}

void Tensor::fill(double value) const {
  check(defined(), "fill: the tensor is undefined");
  if (numel() == 0) return;
  check_writable("fill", *this);
  kernels_for(*this).fill(*this, value);
  mark_written();
}

bool Tensor::repeats_elements() const {
  if (numel() == 0) return false;
  for (int axis = 0; axis < rank(); ++axis) {
    if (shape_[axis] > 1 && strides_[axis] == 0) return true;
  }
  return false;
}

bool Tensor::overlaps(const Tensor& other) const {
  if (!defined() || !other.defined() || numel() == 0 || other.numel() == 0) return false;
  if (device() != other.device()) return false;
  const auto [begin, end] = address_range(*this);
  const auto [other_begin, other_end] = address_range(other);
  return begin < other_end && other_begin < end;
}

bool Tensor::is_same_view(const Tensor& other) const {
  if (!defined() || !other.defined() || shape_ != other.shape_ || dtype_ != other.dtype_) return false;
  if (device() != other.device() || raw_data() != other.raw_data()) return false;
  for (int axis = 0; axis < rank(); ++axis) {
    if (shape_[axis] > 1 && strides_[axis] != other.strides_[axis]) return false;
  }
  return true;
}

}  // namespace nabla
