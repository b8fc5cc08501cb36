// Everything that comes from outside as bytes, one target for each reader. A target takes any bytes: the
// reader either accepts them or throws InputError. Anything else (another exception, a crash, a sanitizer's
// finding) is a fault.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace dinomaly::fuzz {

struct Target {
  const char* name;  // also of its folder in tests/fuzz/corpus
  void (*run)(std::string_view bytes);
};

// safetensors, torch_zip, sharded, pickle, image, config, csv, real_iad, tiff.
std::span<const Target> targets();
// Throws std::runtime_error where there is none of that name.
const Target& target_named(std::string_view name);

// Small whole files for a target to begin with, made by our own programs: name -> bytes.
std::map<std::string, std::string> seeds_of(std::string_view target);

// A PyTorch file (a stored zip) of this pickle, and of four storages of 256 bytes.
std::string torch_file_of(std::string_view pickle);

// PNG: every chunk's checksum is made right, which no mutation hits upon.
std::string with_right_checksums(std::string_view png);

}  // namespace dinomaly::fuzz
