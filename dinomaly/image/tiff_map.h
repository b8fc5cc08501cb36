// Anomaly maps as TIFF files, one 32-bit float per pixel: the format of MVTec AD's evaluation.
#pragma once

#include <filesystem>
#include <string>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

// map (h, w) f32 on the CPU, as a file's bytes.
std::string encode_tiff_map(const Tensor& map);
// The same as a file. Written whole or not at all; missing folders are made. Throws InputError
// naming the file.
void save_tiff_map(const std::filesystem::path& path, const Tensor& map);

// (h, w) f32 of a TIFF with one sample of 16, 32 or 64 bits of IEEE float (or 8 or 16 bits unsigned) per
// pixel, in strips or tiles. Throws InputError naming the file and the fault: unreadable, cut short, coloured,
// several pages, wider or higher than 32768, more than 2^26 pixels, values that are not finite.
Tensor load_tiff_map(const std::filesystem::path& path);

}  // namespace dinomaly
