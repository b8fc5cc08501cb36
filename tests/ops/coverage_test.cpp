// No op without a case: the names that autograd/ops records are read from its sources.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> first_groups(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.insert((*match)[1]);
  }
  return found;
}

// record("name", ...), and "name" as the first argument of a file's own helper that ends
// in record(name, ...).
std::set<std::string> recorded_names(const std::string& source) {
  return first_groups(source, std::regex(R"re(\b\w+\(\s*"([a-z_0-9]+)")re"));
}

// The first argument of record(...): a name in quotes, or `name` in such a helper.
std::set<std::string> recorded_arguments(const std::string& source) {
  return first_groups(source, std::regex(R"re(\brecord\(\s*([^,]*),)re"));
}

std::set<std::string> covered_names() {
  std::set<std::string> covered;
  for (const OpCase& test : OpCase::all()) covered.insert(test.op());
  return covered;
}

// All lists of input shapes on which the op is tried.
std::vector<Shapes> tried_shapes(const std::string& op) {
  std::vector<Shapes> tried;
  for (const OpCase& test : OpCase::all()) {
    if (test.op() != op) continue;
    tried.push_back(test.shapes);
    tried.insert(tried.end(), test.options.also.begin(), test.options.also.end());
  }
  return tried;
}

bool any_list(const std::vector<Shapes>& tried, const std::function<bool(const Shapes&)>& holds) {
  return std::any_of(tried.begin(), tried.end(), holds);
}

bool any_shape(const Shapes& shapes, const std::function<bool(int64_t)>& holds) {
  return std::any_of(shapes.begin(), shapes.end(), [&](const Shape& shape) { return holds(shape.numel()); });
}

}  // namespace

TEST_CASE("every op that can be recorded has an OpCase") {
  const std::set<std::string> covered = covered_names();
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(DINOMALY_SOURCE_DIR "/autograd/ops")) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h") continue;
    const std::string text = text_of(entry.path());
    names.merge(recorded_names(text));
    for (const std::string& argument : recorded_arguments(text)) {
      INFO(entry.path().filename().string(), ": record(", argument, ", ...)");
      const bool readable = argument.front() == '"' || argument == "name";
      CHECK(readable);
    }
  }
  CHECK(names.size() >= 40);
  for (const std::string& name : names) {
    INFO("op ", name, " has no OpCase in tests/ops");
    CHECK(covered.contains(name));
  }
}

TEST_CASE("a new op without a case would be found") {
  const std::string source = R"(Variable newcomer(const Variable& x) {
    return record("newcomer", y, {x}, backward); }
  Variable cube(const Variable& x) { return pointwise(
      "cube", x); }
  Variable hidden(const Variable& x) { return record(kind, y, {x}, backward); })";
  CHECK(recorded_names(source) == std::set<std::string>{"newcomer", "cube"});
  CHECK_FALSE(covered_names().contains("newcomer"));
  CHECK(recorded_arguments(source) == std::set<std::string>{"\"newcomer\"", "kind"});
}

TEST_CASE("ops are recorded in autograd/ops only") {
  const std::regex recording(R"re((^|[^.>\w])(record|append_to_tape)\()re");  // no method of that name
  for (const char* folder : {"nn", "dinomaly"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(DINOMALY_SOURCE_DIR) / folder)) {
      const std::string kind = entry.path().extension().string();
      if (kind != ".cpp" && kind != ".h") continue;
      INFO(entry.path().string());
      CHECK_FALSE(std::regex_search(text_of(entry.path()), recording));
    }
  }
}

TEST_CASE("every op is tried on nothing, on ones, on sizes no vector width divides, and on wrong shapes") {
  const std::set<std::string> takes_several = {"packed_attention", "packed_linear_attention",  // q, k, v
                                               "rope"};             // pairs of elements
  const std::set<std::string> refuses_nothing = {"cross_entropy"};  // a mean over no rows
  for (const std::string& op : covered_names()) {
    INFO(op);
    const std::vector<Shapes> tried = tried_shapes(op);
    const bool empty = any_list(tried, [](const Shapes& shapes) {
      return any_shape(shapes, [](int64_t numel) { return numel == 0; });
    });
    const bool ones = any_list(tried, [](const Shapes& shapes) {
      return !any_shape(shapes, [](int64_t numel) { return numel != 1; });
    });
    const bool odd = any_list(tried, [](const Shapes& shapes) {
      return std::any_of(shapes.begin(), shapes.end(), [](const Shape& shape) {
        const auto is_odd = [](int64_t size) { return size > 16 && size % 2 == 1; };
        return is_odd(shape.numel()) || std::any_of(shape.begin(), shape.end(), is_odd);
      });
    });
    // What takes one operand, and be it a scalar, goes element by element: no shape is wrong.
    const bool takes_all =
        any_list(tried, [](const Shapes& shapes) { return shapes.size() == 1 && shapes[0].rank() == 0; });
    const bool wrong = std::any_of(OpCase::all().begin(), OpCase::all().end(), [&](const OpCase& test) {
      return test.op() == op && !test.options.wrong.empty();
    });
    CHECK_MESSAGE((empty || refuses_nothing.contains(op)), "no empty input among the shapes");
    CHECK_MESSAGE((ones || takes_several.contains(op)), "no inputs of one element each");
    CHECK_MESSAGE(odd, "neither an axis nor a number of elements that is odd and above 16");
    CHECK_MESSAGE((wrong || takes_all), "neither wrong shapes nor a scalar");
  }
}

TEST_CASE("every OpCase has its own name and its own numbers") {
  std::set<std::string> seen;
  for (const OpCase& test : OpCase::all()) {
    INFO(test.name);
    CHECK(seen.insert(test.name).second);
    if (has_reference(test)) CHECK(reference_inputs(test).size() == test.shapes.size());
  }
}

}  // namespace nabla
