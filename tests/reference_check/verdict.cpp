#include <algorithm>
#include <cmath>

#include "bundle.h"

namespace dinomaly {

namespace {

std::vector<double> differences(const std::string& group, const Tensor& x, const Tensor& expected) {
  check(x.numel() == expected.numel() && x.numel() > 0, "{}: {} values where the bundle has {}", group,
        x.shape(), expected.shape());
  std::vector<double> difference = x.to_vector<double>();
  const std::vector<double> wanted = expected.to_vector<double>();
  for (size_t i = 0; i < difference.size(); ++i) difference[i] -= wanted[i];
  return difference;
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return std::sqrt(sum);
}

// NaN is the largest: std::max() would lose it.
double larger(double a, double b) {
  if (std::isnan(b)) return b;
  return std::isnan(a) || a > b ? a : b;
}

}  // namespace

void Verdict::add(const std::string& group, double error, double tolerance) {
  auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) { return g.name == group; });
  if (found == groups_.end()) found = groups_.insert(groups_.end(), Group{group, 0, tolerance});
  found->error = larger(found->error, error);
}

void Verdict::relative(const std::string& group, const Tensor& x, const Tensor& expected, double tolerance) {
  relative_to(group, x, expected, expected, tolerance);
}

void Verdict::relative_to(const std::string& group, const Tensor& x, const Tensor& expected,
                          const Tensor& scale, double tolerance) {
  if (tolerance < 0) return;
  const double size = norm(scale.to_vector<double>());
  const double distance = norm(differences(group, x, expected));
  add(group, size > 0 ? distance / size : distance, tolerance);
}

void Verdict::absolute(const std::string& group, const Tensor& x, const Tensor& expected, double tolerance) {
  double largest = 0;
  for (double difference : differences(group, x, expected)) {
    largest = larger(largest, std::abs(difference));
  }
  add(group, largest, tolerance);
}

std::string Verdict::text() const {
  if (groups_.empty()) return "nothing was compared FAIL\n";
  std::string lines;
  for (const Group& group : groups_) {
    lines += fmt::format("{} max relative error {:.3g} tolerance {:.3g} {}\n", group.name, group.error,
                         group.tolerance, group.ok() ? "ok" : "FAIL");
  }
  return lines;
}

bool Verdict::ok() const {
  return !groups_.empty() &&
         std::all_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.ok(); });
}

}  // namespace dinomaly
