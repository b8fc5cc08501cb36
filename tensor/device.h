// Where a tensor lives.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace nabla {

struct Device {
  enum class Type { cpu, cuda };
  Type type = Type::cpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index = 0) { return {Type::cuda, index}; }
  bool is_cpu() const { return type == Type::cpu; }
  bool operator==(const Device&) const = default;

  std::string to_string() const;  // "cpu" or "cuda:N"
};

// "cpu", "cuda" or "cuda:N"; anything else throws InputError.
Device parse_device(std::string_view text);

}  // namespace nabla

template <>
struct fmt::formatter<nabla::Device> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(const nabla::Device& device, fmt::format_context& context) const;
};
