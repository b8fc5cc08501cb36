// Element types, and visit(): from a runtime dtype to a compile-time type.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tensor/bfloat16.h"
#include "tensor/error.h"

namespace nabla {

// f32 and bf16 to compute, f64 (CPU only) for gradient checks, i64 and u8 for indices, labels and masks, i8 for
// quantised weights.
enum class Dtype { f32, f64, bf16, i64, u8, i8 };

constexpr size_t size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return 4;
    case Dtype::f64:
      return 8;
    case Dtype::bf16:
      return 2;
    case Dtype::i64:
      return 8;
    case Dtype::u8:
    case Dtype::i8:
      return 1;
  }
  return 0;
}

constexpr bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::bf16;
}

constexpr std::string_view name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f64:
      return "f64";
    case Dtype::bf16:
      return "bf16";
    case Dtype::i64:
      return "i64";
    case Dtype::u8:
      return "u8";
    case Dtype::i8:
      return "i8";
  }
  return "?";
}

// "f32", "f64", "bf16", "i64", "u8", "i8"; anything else throws InputError.
Dtype parse_dtype(std::string_view name);

template <class T>
constexpr Dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return Dtype::f32;
  else if constexpr (std::is_same_v<T, double>)
    return Dtype::f64;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return Dtype::bf16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return Dtype::i64;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return Dtype::u8;
  else {
    static_assert(std::is_same_v<T, int8_t>, "not an element type");
    return Dtype::i8;
  }
}

// Statistics and sums of T are held in Wide<T>: f32 for bf16 and f32, f64 for f64.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Calls function(T{}) with the C++ type of `dtype`.
template <class Function>
decltype(auto) visit(Dtype dtype, Function&& function) {
  switch (dtype) {
    case Dtype::f64:
      return function(double{});
    case Dtype::bf16:
      return function(BFloat16{});
    case Dtype::i64:
      return function(int64_t{});
    case Dtype::u8:
      return function(uint8_t{});
    case Dtype::i8:
      return function(int8_t{});
    case Dtype::f32:
      break;
  }
  return function(float{});
}

// visit() for floating dtypes only; throws for the others.
template <class Function>
decltype(auto) visit_floating(Dtype dtype, Function&& function) {
  check(is_floating(dtype), "expected a floating dtype, got {}", name_of(dtype));
  if (dtype == Dtype::f64) return function(double{});
  if (dtype == Dtype::bf16) return function(BFloat16{});
  return function(float{});
}

}  // namespace nabla

template <>
struct fmt::formatter<nabla::Dtype> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(nabla::Dtype dtype, fmt::format_context& context) const;
};
