#include "dinomaly/weights/key_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

// "3 missing (a, b, c)", at most five of them named; "" for none.
std::string describe(const char* what, const std::vector<std::string>& names) {
  constexpr size_t most_named = 5;
  if (names.empty()) return "";
  std::vector<std::string> named;
  for (size_t i = 0; i < std::min(names.size(), most_named); ++i) named.push_back(printable(names[i]));
  return fmt::format("; {} {} ({}{})", names.size(), what, fmt::join(named, ", "),
                     names.size() > most_named ? ", ..." : "");
}

}  // namespace

void check_tensors(const std::map<std::string, Tensor>& tensors, const NamedShapes& expected,
                   const std::string& source, const std::string& what,
                   const std::vector<std::string>& incomplete, const std::vector<std::string>& extra,
                   const std::function<std::string(const std::string&)>& shown) {
  const auto own = [&](const std::string& name) { return shown ? shown(name) : name; };
  std::vector<std::string> missing, misshapen, unexpected = extra;
  std::set<std::string> known;
  for (const auto& [name, shape] : expected) {
    known.insert(name);
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      missing.push_back(own(name));
    } else if (found->second.shape() != shape || !is_floating(found->second.dtype())) {
      misshapen.push_back(fmt::format("{} is {} {}, expected {}", own(name), found->second.dtype(),
                                      found->second.shape(), shape));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!known.contains(name)) unexpected.push_back(own(name));
  }
  for (const std::string& name : incomplete) {
    if (!known.contains(name)) unexpected.push_back(own(name));
  }
  check_input(missing.empty() && misshapen.empty() && unexpected.empty(), "{}: {}{}{}{}", source, what,
              describe("missing", missing), describe("unexpected", unexpected),
              describe("misshapen", misshapen));
  check_finite({tensors.begin(), tensors.end()}, source);
}

void check_finite(const NamedTensors& tensors, const std::string& source) {
  std::vector<char> finite(tensors.size());
  for_each_in_parallel(tensors.size(), [&](size_t i) {
    const Tensor& tensor = tensors[i].second;
    finite[i] = tensor.dtype() == Dtype::f64 ? is_finite(tensor.to(Dtype::f32)) : is_finite(tensor);
  });
  for (size_t i = 0; i < tensors.size(); ++i) {
    check_input(finite[i], "{}: '{}' is not finite: it holds NaN, or numbers beyond those of f32", source,
                printable(tensors[i].first));
  }
}

}  // namespace dinomaly
