// Anomaly maps as NumPy arrays.
#pragma once

#include <filesystem>
#include <string>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

// map (h, w) f32 on the CPU, as numpy.save writes it: format 1.0, '<f4', C order.
std::string encode_npy_map(const Tensor& map);
// Writes it whole or not at all; throws InputError naming the file.
void save_npy_map(const std::filesystem::path& path, const Tensor& map);

}  // namespace dinomaly
