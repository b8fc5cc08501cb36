// Between elements as they are stored and as they are computed with. For host and device.
#pragma once

#include <type_traits>

#include "tensor/bfloat16.h"

namespace nabla {

// What elements of T are computed in: bf16 in float, everything else as it is.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

// place = value, converted to T. GCC does not vectorise the assignment of a BFloat16, a class, but that
// of its bits.
template <class T, class Value>
DINOMALY_HOST_DEVICE inline void store(T& place, Value value) {
  if constexpr (std::is_same_v<T, BFloat16>)
    place.bits = BFloat16(static_cast<float>(value)).bits;
  else
    place = static_cast<T>(value);
}

}  // namespace nabla
