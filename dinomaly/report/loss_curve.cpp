#include <cmath>
#include <cstdlib>
#include <sstream>

#include "dinomaly/base/files.h"
#include "dinomaly/report/html_report.h"

namespace dinomaly {

namespace {

constexpr uint64_t largest_log = 1 << 28;
constexpr size_t most_points = 1000;

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
  return fields;
}

double parse_field(const std::string& text, const std::string& source, size_t line) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  check_input(!text.empty() && *end == '\0' && std::isfinite(value), "{}: line {}: '{}' is not a number",
              source, line, text.substr(0, 40));
  return value;
}

}  // namespace

Curve read_loss_curve(const std::filesystem::path& log) {
  const std::string source = log.string();
  std::istringstream stream(read_file(log, largest_log));
  std::string line;
  std::getline(stream, line);
  const std::vector<std::string> names = fields_of(line);
  check_input(names.size() >= 2 && names[0] == "iteration" && names[1] == "loss",
              "{}: not a training log (its first line is not 'iteration,loss,...')", source);
  Curve all;
  for (size_t count = 2; std::getline(stream, line); ++count) {
    const std::vector<std::string> fields = fields_of(line);
    check_input(fields.size() >= 2, "{}: line {} has no loss", source, count);
    if (fields[1].empty()) continue;  // a step that was skipped
    all.push_back({parse_field(fields[0], source, count), parse_field(fields[1], source, count)});
  }
  const size_t group = (all.size() + most_points - 1) / most_points;
  Curve means;
  for (size_t i = 0; i < all.size(); i += group) {
    CurvePoint sum;
    const size_t end = std::min(i + group, all.size());
    for (size_t j = i; j < end; ++j) sum.x += all[j].x, sum.y += all[j].y;
    means.push_back({sum.x / static_cast<double>(end - i), sum.y / static_cast<double>(end - i)});
  }
  return means;
}

}  // namespace dinomaly
