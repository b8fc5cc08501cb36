// Tensor: an n-dimensional array. A handle: copies share the storage; views share it with other shapes and
// strides. Knows nothing of gradients (autograd/variable.h does).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/random.h"
#include "tensor/shape.h"
#include "tensor/storage.h"
#include "tensor/watcher.h"

namespace nabla {

class Tensor {
 public:
  // Undefined: no storage. Functions that take "maybe a tensor" (a bias, a gradient) use it for "none".
  Tensor() = default;
  // Another handle, which a TensorWatcher of this thread is told of.
  Tensor(const Tensor& other)
      : storage_(other.storage_),
        offset_(other.offset_),
        shape_(other.shape_),
        strides_(other.strides_),
        dtype_(other.dtype_) {
    TensorWatcher::notify(storage_, shape_, dtype_);
  }
  Tensor& operator=(const Tensor& other) {
    if (this != &other) *this = Tensor(other);
    return *this;
  }
  Tensor(Tensor&&) = default;
  Tensor& operator=(Tensor&&) = default;

  // --- Making one. Sizes must not be negative; the elements of empty() are arbitrary.
  static Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32, Device device = {});
  static Tensor empty_like(const Tensor& other) {
    return empty(other.shape(), other.dtype(), other.device());
  }
  static Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::f32, Device device = {});
  static Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32, Device device = {});
  static Tensor ones(const Shape& shape, Dtype dtype = Dtype::f32, Device device = {});
  // 0, 1, ..., count - 1. Throws Error where an integer dtype does not hold them.
  static Tensor arange(int64_t count, Dtype dtype = Dtype::i64);
  // Row-major values on the CPU; their number must be shape.numel().
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);
  // Uniform in [low, high) and normal, drawn on the CPU in row-major order.
  static Tensor uniform(const Shape& shape, double low, double high, Generator& generator,
                        Dtype dtype = Dtype::f32);
  static Tensor normal(const Shape& shape, double mean, double std, Generator& generator,
                       Dtype dtype = Dtype::f32);
  // Foreign memory, row-major, kept alive by `owner`; `mapped` if it is a mapping of a file.
  static Tensor wrap(void* data, const Shape& shape, Dtype dtype, std::shared_ptr<const void> owner,
                     Device device = {}, bool mapped = false);

  // --- What it is.
  bool defined() const { return storage_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  int64_t size(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }
  Dtype dtype() const { return dtype_; }
  Device device() const { return defined() ? storage()->device() : Device{}; }
  bool is_contiguous() const;
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  int64_t storage_offset() const { return offset_; }

  // --- Views: no data moves. Axes may be negative.
  Tensor transpose(int axis_a, int axis_b) const;
  Tensor permute(const std::vector<int>& axes) const;
  // Elements [begin, end) of `axis`, every `step`-th; 0 <= begin <= end <= size, step >= 1.
  Tensor slice(int axis, int64_t begin, int64_t end, int64_t step = 1) const;
  // Element `index` of `axis`, which disappears.
  Tensor select(int axis, int64_t index) const;
  // Axes of size 1 repeated to `shape` with stride 0; new axes in front.
  Tensor expand(const Shape& shape) const;
  Tensor unsqueeze(int axis) const;
  Tensor squeeze(int axis) const;
  // A view if the strides allow it, otherwise a copy. One size may be -1: it is inferred.
  Tensor reshape(const Shape& shape) const;
  Tensor flatten() const { return reshape({numel()}); }

  // --- Data.
  // Itself if already row-major without gaps, otherwise a copy that is.
  Tensor contiguous() const;
  Tensor clone() const;
  // Itself if nothing changes, otherwise a converted copy.
  Tensor to(Dtype dtype) const;
  Tensor to(Device device) const;
  // --- In place: what every view of the storage sees. Each counts as one change (version()).
  // Writes `source` (same shape, any strides, dtype and device) into this tensor's elements; it may overlap
  // them: then it is copied first. Throws where this tensor repeats_elements().
  void copy_from(const Tensor& source) const;
  // Throws where this tensor repeats_elements().
  void fill(double value) const;
  // Whether several indices are one element in memory, as in an expanded tensor: it can be read, not written.
  bool repeats_elements() const;
  // Whether the two may have memory in common: whether the ranges from first to last element do.
  bool overlaps(const Tensor& other) const;
  // Whether each element of the one is the same memory as the other's.
  bool is_same_view(const Tensor& other) const;
  // How often the storage was changed in place. backward() compares it with what it was when an op saved the
  // tensor. 0 for an undefined tensor.
  uint64_t version() const { return defined() ? storage_->version() : 0; }
  // Counts a change. Only for who writes through data() or raw_data(), which nobody else can know of.
  void mark_written() const {
    if (defined()) storage_->mark_written();
  }

  // --- Memory.
  // The first element; T must be the dtype's C++ type. On a GPU tensor: a device pointer. The others lie at
  // strides() from it: take contiguous() first, or look at the strides. After writing: mark_written().
  template <class T>
  T* data() const;
  // data() without a type check.
  void* raw_data() const;
  // The one element of a tensor with numel 1, as double (from any device).
  double item() const;
  // All elements in row-major order (from any device), converted to T.
  template <class T>
  std::vector<T> to_vector() const;

 private:
  static Tensor allocate(const Shape& shape, Dtype dtype, Device device, bool* cleared);

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // in elements
  Shape shape_;
  Strides strides_;
  Dtype dtype_ = Dtype::f32;
};

template <class T>
T* Tensor::data() const {
  check(defined(), "data(): the tensor is undefined");
  check(dtype_ == dtype_of<std::remove_const_t<T>>(), "data<{}>() of a tensor of {}",
        dtype_of<std::remove_const_t<T>>(), dtype_);
  return static_cast<T*>(raw_data());
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "from: {} values do not fill shape {}",
        values.size(), shape);
  Tensor result = empty(shape, dtype_of<T>());
  std::copy(values.begin(), values.end(), result.data<T>());
  return result;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor source = to(Device::cpu()).to(dtype_of<T>()).contiguous();
  if (source.numel() == 0) return {};
  const T* begin = source.data<T>();
  return std::vector<T>(begin, begin + source.numel());
}

}  // namespace nabla
