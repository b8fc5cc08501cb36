// Hashes that identify an encoder's weights, and a file.
#pragma once

#include <filesystem>
#include <string>

#include "dinomaly/base/framework.h"
#include "nn/module.h"
#include "tensor/dtype.h"

namespace dinomaly {

// SHA-256, in hexadecimal, of the tensors sorted by name: for each "NAME SHAPE\n" and its elements,
// row-major, converted to `dtype` (f32, or bf16 for a model whose weights are bf16). The same weights give
// the same hash whichever library's names their file uses, except for timm's register models, whose folded
// tokens are different numbers.
std::string encoder_sha256(const NamedTensors& tensors, Dtype dtype = Dtype::f32);

// SHA-256 of a file's bytes, in hexadecimal, as sha256sum prints it. Throws InputError if it cannot be read.
std::string file_sha256(const std::filesystem::path& path);

}  // namespace dinomaly
