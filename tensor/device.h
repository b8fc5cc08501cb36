// Where a tensor lives.
#pragma once

#include <fmt/format.h>

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

  std::string to_string() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index); }
};

// "cpu", "cuda" or "cuda:N"; anything else throws InputError.
Device parse_device(std::string_view text);

}  // namespace nabla

template <>
struct fmt::formatter<nabla::Device> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const nabla::Device& device, Context& context) const {
    return fmt::formatter<std::string>::format(device.to_string(), context);
  }
};
