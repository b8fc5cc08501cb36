#include "tests/docs/source_numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace book {

std::string source(const std::string& path) {
  std::ifstream file(std::filesystem::path(DINOMALY_SOURCE_DIR) / path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

double number_after(const std::string& path, const std::string& text) {
  const std::string all = source(path);
  const size_t at = all.find(text);
  if (at == std::string::npos || all.find(text, at + 1) != std::string::npos)
    throw std::runtime_error(fmt::format("{} has not exactly one \"{}\"", path, text));
  return std::stod(all.substr(at + text.size(), 40));
}

std::vector<std::vector<double>> all_arguments(const std::string& path, const std::string& name) {
  const std::string all = source(path);
  std::vector<std::vector<double>> calls;
  for (size_t at = all.find(name + "("); at != std::string::npos; at = all.find(name + "(", at + 1)) {
    std::vector<double> arguments;
    for (size_t i = at + name.size(); all[i] != ')'; i = all.find_first_of(",)", i + 1)) {
      arguments.push_back(std::stod(all.substr(i + 1, 40)));
    }
    calls.push_back(arguments);
  }
  return calls;
}

std::string power(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  const double mantissa = value / std::pow(10.0, exponent);
  const std::string ten = fmt::format("10^{{{}}}$", exponent);
  return std::abs(mantissa - 1) < 1e-6 ? "$" + ten : fmt::format("${:.3g} \\cdot {}", mantissa, ten);
}

}  // namespace book
