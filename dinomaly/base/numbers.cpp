#include "dinomaly/base/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace dinomaly {

namespace {

// Without the spaces around it and a '+' in front.
std::string_view bare_number(std::string_view text) {
  constexpr std::string_view spaces = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(spaces), text.size()));
  text = text.substr(0, text.find_last_not_of(spaces) + 1);
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return plus ? text.substr(1) : text;
}

}  // namespace

std::optional<double> parse_number(std::string_view text) {
  const std::string_view number = bare_number(text);
  if (number.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  return value;
}

std::string why_no_number(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(text.c_str(), &end);
  const bool read = end == text.c_str() + text.size() && !text.empty();
  if (read && std::isinf(value)) return "not a finite number";
  return read && errno == ERANGE ? "too small a number" : "not a number";
}

std::optional<std::string> whole_number(std::string_view text) {
  constexpr double exact = 9007199254740992;  // 2^53
  const std::string_view number = bare_number(text);
  std::string_view digits = number;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos) {
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return fmt::format("{}{}", number.starts_with('-') && digits != "0" ? "-" : "", digits);
  }
  const std::optional<double> value = parse_number(number);
  if (!value || std::trunc(*value) != *value || std::abs(*value) > exact) return std::nullopt;
  return fmt::format("{}", static_cast<int64_t>(*value));
}

std::optional<std::vector<double>> parse_numbers(std::string_view text) {
  std::vector<double> values;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::optional<double> value = parse_number(text.substr(begin, comma - begin));
    if (!value) return std::nullopt;
    values.push_back(*value);
    begin = comma + 1;
  }
  return values;
}

std::string counted(int64_t count, const std::string& one, const std::string& many) {
  if (count == 1) return fmt::format("1 {}", one);
  return many.empty() ? fmt::format("{} {}s", count, one) : fmt::format("{} {}", count, many);
}

}  // namespace dinomaly
