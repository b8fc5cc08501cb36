// The heads of a (B, H, N, d) tensor as matrices (N, d) of the type that is computed in, for the attention
// kernels: in place where the elements have that type, as converted copies otherwise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/common/convert.h"
#include "tensor/kernel_args.h"

namespace nabla {

template <class W>
struct Matrix {
  W* data;
  int64_t stride;  // from row to row

  W* row(int64_t index) const { return data + index * stride; }
};

// Memory for one thread, handed out in pieces aligned to 64 bytes.
template <class W>
class Scratch {
 public:
  // `elements` in all, in at most 16 pieces.
  explicit Scratch(int64_t elements)
      : storage_((static_cast<size_t>(elements) + 16 * align) * sizeof(W), Device::cpu()),
        next_(static_cast<W*>(storage_.data())) {}

  W* take(int64_t count) {
    W* piece = next_;
    next_ += (count + align - 1) / align * align;
    return piece;
  }

 private:
  static constexpr int64_t align = 64 / sizeof(W);
  Storage storage_;
  W* next_;
};

template <class W>
W dot(const W* a, const W* b, int64_t n) {
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <class T>
class Heads {
 public:
  using W = Wide<T>;

  // The tensor must outlive this.
  explicit Heads(const Tensor& tensor)
      : data_(tensor.data<T>()),
        batch_stride_(tensor.strides()[0]),
        head_stride_(tensor.strides()[1]),
        row_stride_(tensor.strides()[2]),
        heads_(tensor.size(1)),
        length_(tensor.size(2)),
        width_(tensor.size(3)) {}

  int64_t length() const { return length_; }
  int64_t width() const { return width_; }
  int64_t row_stride() const { return row_stride_; }
  // Row `index` of head b * H + h, as it is stored.
  T* row(int64_t head, int64_t index) const {
    return data_ + head / heads_ * batch_stride_ + head % heads_ * head_stride_ + index * row_stride_;
  }
  // Rows [first, first + rows) of a head, to read.
  Matrix<const W> read(int64_t head, int64_t first, int64_t rows, W* scratch) const {
    if (in_place(rows)) return {as_wide(row(head, first)), std::max(row_stride_, width_)};
    for (int64_t i = 0; i < rows; ++i) {
      const T* from = row(head, first + i);
      W* to = scratch + i * width_;
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) to[j] = static_cast<W>(from[j]);
    }
    return {scratch, width_};
  }

  // Where the same rows are to be written; write_back() then brings them to the tensor if that is elsewhere.
  Matrix<W> target(int64_t head, int64_t first, int64_t rows, W* scratch) const {
    if (in_place(rows)) return {as_wide(row(head, first)), std::max(row_stride_, width_)};
    return {scratch, width_};
  }
  void write_back(int64_t head, int64_t first, int64_t rows, const Matrix<W>& matrix) const {
    if (in_place(rows)) return;
    for (int64_t i = 0; i < rows; ++i) {
      const W* from = matrix.row(i);
      T* to = row(head, first + i);
#pragma omp simd
      for (int64_t j = 0; j < width_; ++j) store(to[j], from[j]);
    }
  }

 private:
  // Rows that overlap (an expanded axis) are no matrix for a product.
  bool in_place(int64_t rows) const { return std::is_same_v<T, W> && (rows == 1 || row_stride_ >= width_); }
  static W* as_wide(T* pointer) {
    if constexpr (std::is_same_v<T, W>)
      return pointer;
    else
      return nullptr;  // never in place
  }

  T* data_;
  int64_t batch_stride_, head_stride_, row_stride_;
  int64_t heads_, length_, width_;
};

}  // namespace nabla
