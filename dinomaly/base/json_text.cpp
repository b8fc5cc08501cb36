#include "dinomaly/base/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

double short_number(double value, int digits) {
  const auto single = static_cast<float>(value);
  if (!std::isfinite(value)) return value;
  return std::strtod(
      (single == value ? fmt::format("{}", single) : fmt::format("{:.{}g}", value, digits)).c_str(), nullptr);
}

nlohmann::json short_numbers(nlohmann::json value, int digits) {
  if (value.is_number_float()) return short_number(value.get<double>(), digits);
  if (value.is_structured()) {
    for (nlohmann::json& part : value) part = short_numbers(std::move(part), digits);
  }
  return value;
}

std::string utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(text)).get<std::string>();
}

nlohmann::json parse_json(const std::string& text, const std::string& what) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    constexpr size_t shown = 40;
    const size_t end = std::min(error.byte, text.size()), begin = end > shown ? end - shown : 0;
    fail_input("{} is not JSON from here on: {}", what, printable(text.substr(begin, end - begin)));
  } catch (const nlohmann::json::out_of_range&) {
    fail_input("{} holds a number that is too large", what);
  }
}

}  // namespace dinomaly
