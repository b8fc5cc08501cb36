// Tensors from the bytes of a file, whatever its format.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "tensor/tensor.h"

namespace nabla {

// Dtypes as safetensors spells them. Bytes of one element; 0 if the name is unknown.
uint64_t element_bytes(std::string_view dtype);

// Whether raw_tensor() reads it: F32, F64, F16, BF16, I64, I32, U8, I8, BOOL.
bool is_supported_dtype(std::string_view dtype);

// A tensor on the CPU from shape.numel() little-endian elements at `data`. F32, F64, BF16, I64, U8 and I8 point
// at the bytes, which `owner` keeps alive, if they are aligned, and are copied otherwise; F16 becomes f32,
// BOOL u8, I32 i64. `mapped`: they are a mapping of a file. Throws Error for other dtypes.
Tensor raw_tensor(std::byte* data, const Shape& shape, std::string_view dtype,
                  std::shared_ptr<const void> owner, bool mapped);

}  // namespace nabla
