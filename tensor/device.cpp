#include "tensor/device.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

#include "tensor/error.h"

namespace nabla {

std::string Device::to_string() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index); }

Device parse_device(std::string_view text) {
  if (text == "cpu") return Device::cpu();
  if (text == "cuda") return Device::cuda();
  if (text.starts_with("cuda:")) {
    const std::string_view digits = text.substr(5);
    int index = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc() && end == digits.data() + digits.size() && index >= 0)
      return Device::cuda(index);
  }
  fail_input("unknown device '{}': expected cpu, cuda or cuda:N (programs also take auto)", text);
}

}  // namespace nabla

fmt::format_context::iterator fmt::formatter<nabla::Device>::format(const nabla::Device& device,
                                                                    fmt::format_context& context) const {
  return fmt::formatter<fmt::string_view>::format(device.to_string(), context);
}
