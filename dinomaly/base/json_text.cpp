#include "dinomaly/base/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// How many bytes the character at the start of `text` takes; 0 if it is none of UTF-8 (RFC 3629).
size_t length_of_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first < 0xE0   ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Longer than need be, half of a surrogate pair, or beyond the last code point.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) >= 0xA0)) return 0;
  if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) >= 0x90)) return 0;
  return length;
}

// All texts of the value, names of fields too, as UTF-8.
nlohmann::json with_utf8(const nlohmann::json& value) {
  if (value.is_string()) return utf8(value.get_ref<const std::string&>());
  if (value.is_array()) {
    nlohmann::json result = nlohmann::json::array();
    for (const nlohmann::json& part : value) result.push_back(with_utf8(part));
    return result;
  }
  if (!value.is_object()) return value;
  nlohmann::json result = nlohmann::json::object();
  for (const auto& [name, part] : value.items()) result[utf8(name)] = with_utf8(part);
  return result;
}

}  // namespace

std::string json_text(const nlohmann::json& value, int indent) { return with_utf8(value).dump(indent); }

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
  std::string result;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = length_of_character(rest);
    if (length == 0)
      result += fmt::format("\\x{:02X}", static_cast<unsigned char>(rest[0]));
    else
      result += rest.substr(0, length);
    rest.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
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
