// Encoders that users ask for by name, and where their publisher keeps them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dinomaly {

// One of Meta's DINOv2 encoders (Oquab et al. 2023; with registers: Darcet et al. 2023), Apache-2.0.
struct NamedEncoder {
  std::string_view name;     // "dinov2-small-reg"
  std::string_view address;  // of its weights
  int64_t width, depth, registers;
  int64_t megabytes;  // of the file, about

  std::string_view file_name() const { return address.substr(address.rfind('/') + 1); }
};

std::span<const NamedEncoder> named_encoders();

// Null if there is none of that name.
const NamedEncoder* find_named_encoder(std::string_view name);

// The same; throws InputError that lists the names, and says which was probably meant.
const NamedEncoder& named_encoder(const std::string& name);

}  // namespace dinomaly
