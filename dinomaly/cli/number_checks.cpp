#include "dinomaly/cli/number_checks.h"

#include <fmt/format.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// Of texts that parse_flags() has found to be numbers.
template <class Holds>
CLI::Validator check_number(const std::string& range, Holds holds) {
  return CLI::Validator(
      [range, holds](std::string& text) {
        const double number = parse_number(text).value_or(0);
        return holds(number) ? std::string() : fmt::format("{} is not {}", printable(text), range);
      },
      range);
}

}  // namespace

CLI::Validator from_to(int64_t least, int64_t most) {
  return check_number(fmt::format("from {} to {}", least, most), [least, most](double number) {
    return number >= static_cast<double>(least) && number <= static_cast<double>(most);
  });
}

CLI::Validator above_zero() {
  return check_number("above 0", [](double number) { return number > 0; });
}

}  // namespace dinomaly
