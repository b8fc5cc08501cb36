#include <cstring>

#include "tensor/ops.h"

namespace nabla {

namespace {

// Finite numbers are those whose bits, without the sign, are below those of infinity: a loop over integers, which
// compilers vectorise.
template <class Bits, class T>
bool below_infinity(const T* values, int64_t count, Bits infinity) {
  static_assert(sizeof(Bits) == sizeof(T));
  constexpr Bits magnitude = static_cast<Bits>(~Bits{0}) >> 1;
  Bits largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i, sizeof bits);
    largest = std::max(largest, static_cast<Bits>(bits & magnitude));
  }
  return largest < infinity;
}

}  // namespace

bool is_finite(const Tensor& tensor) {
  if (!tensor.defined() || !is_floating(tensor.dtype())) return true;
  const Tensor local = tensor.to(Device::cpu()).contiguous();
  const int64_t count = local.numel();
  if (local.dtype() == Dtype::f64) {
    return below_infinity(local.data<double>(), count, uint64_t{0x7ff0000000000000});
  }
  if (local.dtype() == Dtype::bf16) return below_infinity(local.data<BFloat16>(), count, uint16_t{0x7f80});
  return below_infinity(local.data<float>(), count, uint32_t{0x7f800000});
}

}  // namespace nabla
