#include "tensor/io/raw_tensor.h"

#include <bit>
#include <cstring>
#include <map>
#include <string>

namespace nabla {
namespace {

float float_from_half(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormal: mantissa * 2^-24, exact in f32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

// Reads `count` elements of From, aligned or not.
template <class From, class To, class Convert>
Tensor converted(const std::byte* from, const Shape& shape, Convert convert) {
  Tensor result = Tensor::empty(shape, dtype_of<To>());
  To* out = result.data<To>();
  for (int64_t i = 0, count = shape.numel(); i < count; ++i) {
    From element;
    std::memcpy(&element, from + static_cast<size_t>(i) * sizeof(From), sizeof(From));
    out[i] = convert(element);
  }
  return result;
}

// Elements that need no conversion: used in place, or copied if they are not aligned.
Tensor as_is(std::byte* data, const Shape& shape, Dtype dtype, std::shared_ptr<const void> owner,
             bool mapped) {
  if (reinterpret_cast<uintptr_t>(data) % size_of(dtype) == 0) {
    return Tensor::wrap(data, shape, dtype, std::move(owner), Device::cpu(), mapped);
  }
  Tensor copy = Tensor::empty(shape, dtype);
  std::memcpy(copy.raw_data(), data, copy.bytes());
  return copy;
}

}  // namespace

uint64_t element_bytes(std::string_view dtype) {
  static const std::map<std::string_view, uint64_t> known{
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};
  const auto found = known.find(dtype);
  return found == known.end() ? 0 : found->second;
}

bool is_supported_dtype(std::string_view dtype) {
  for (const std::string_view known : {"F32", "F64", "F16", "BF16", "I64", "I32", "U8", "I8", "BOOL"}) {
    if (dtype == known) return true;
  }
  return false;
}

Tensor raw_tensor(std::byte* data, const Shape& shape, std::string_view dtype,
                  std::shared_ptr<const void> owner, bool mapped) {
  if (dtype == "F16") return converted<uint16_t, float>(data, shape, float_from_half);
  if (dtype == "I32") return converted<int32_t, int64_t>(data, shape, [](int32_t x) { return x; });
  static const std::map<std::string_view, Dtype> same{
      {"F32", Dtype::f32}, {"F64", Dtype::f64}, {"BF16", Dtype::bf16}, {"I64", Dtype::i64},
      {"U8", Dtype::u8},   {"I8", Dtype::i8},   {"BOOL", Dtype::u8}};
  const auto found = same.find(dtype);
  check(found != same.end(), "raw_tensor: dtype {} is not supported", dtype);
  if (shape.numel() == 0) return Tensor::empty(shape, found->second);
  return as_is(data, shape, found->second, std::move(owner), mapped);
}

}  // namespace nabla
