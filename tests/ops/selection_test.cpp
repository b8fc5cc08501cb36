// What has no gradient: sort, topk, argmax and comparisons agree with PyTorch.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tensor/elementwise.h"
#include "tests/ops/op_case.h"

namespace nabla {

namespace {

void check_same(const Tensor& got, const std::string& name) {
  INFO(name);
  const Tensor expected = reference("plain/" + name);
  CHECK(got.shape() == expected.shape());
  CHECK(got.to_vector<double>() == expected.to_vector<double>());
}

}  // namespace

TEST_CASE("sort, topk and argmax agree with PyTorch along every axis") {
  const Tensor x = reference("plain/x");  // with repeated values: sort is stable, argmax takes the first
  for (Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::bf16}) {
    const Tensor input = x.to(dtype);
    for (int axis : {0, 1, 2}) {
      for (bool descending : {false, true}) {
        const auto [values, indices] = sort(input, axis, descending);
        const std::string name = fmt::format("sort.{}.{}", axis, descending ? "down" : "up");
        check_same(values, name + ".values");
        check_same(indices, name + ".indices");
      }
      check_same(argmax(input, axis), fmt::format("argmax.{}", axis));
      check_same(topk(input, 2, axis).first, fmt::format("topk.{}.largest", axis));
      check_same(topk(input, 2, axis, false).first, fmt::format("topk.{}.smallest", axis));
    }
  }
}

TEST_CASE("topk's indices point at its values") {
  const Tensor x = reference("plain/distinct");
  for (bool largest : {true, false}) {
    const auto [values, indices] = topk(x, 3, -1, largest);
    check_same(values, fmt::format("distinct.{}.values", largest ? "largest" : "smallest"));
    check_same(indices, fmt::format("distinct.{}.indices", largest ? "largest" : "smallest"));
  }
}

// A sample of every 64th element decides on what is looked at: also when it is the largest, the smallest, all equal or NaN.
TEST_CASE("topk of a long row is the beginning of the sorted row, whatever a sample of it says") {
  constexpr int64_t width = 30'000, count = 200;
  Generator generator(5);
  const std::vector<float> noise = Tensor::normal({width}, 0, 1, generator).to_vector<float>();
  const std::vector<std::function<float(int64_t, float)>> rows = {
      [](int64_t, float x) { return x; },
      [](int64_t, float x) { return std::round(x); },
      [](int64_t, float) { return 1.0f; },
      [](int64_t i, float x) { return i % 64 == 0 ? x + 100 : x; },
      [](int64_t i, float x) { return i % 64 == 0 ? x - 100 : x; },
      [](int64_t i, float x) { return i % 64 == 0 ? std::nanf("") : x; },
      [](int64_t i, float x) { return i % 64 == 0 ? x : std::nanf(""); },
      [](int64_t i, float x) { return i % 3 == 0 ? std::numeric_limits<float>::infinity() : -x; }};
  for (size_t row = 0; row < rows.size(); ++row) {
    CAPTURE(row);
    std::vector<float> numbers;
    for (int64_t i = 0; i < width; ++i) numbers.push_back(rows[row](i, noise[static_cast<size_t>(i)]));
    const Tensor x = Tensor::from(numbers, {width});
    for (const bool largest : {true, false}) {
      const Tensor all = sort(x, 0, largest).second, some = topk(x, count, 0, largest).second;
      CHECK(some.to_vector<int64_t>() == all.slice(0, 0, count).to_vector<int64_t>());
    }
  }
}

TEST_CASE("comparisons agree with PyTorch, broadcasting") {
  const Tensor a = reference("plain/x"), b = reference("plain/row");
  check_same(compare(Compare::equal, a, b), "equal");
  check_same(compare(Compare::not_equal, a, b), "not_equal");
  check_same(compare(Compare::less, a, b), "less");
  check_same(compare(Compare::less_equal, a, b), "less_equal");
  check_same(compare(Compare::greater, a, b), "greater");
  check_same(compare(Compare::greater_equal, a, b), "greater_equal");
  check_same(compare(Compare::greater, a, 1), "greater_one");
  CHECK_THROWS_WITH_AS(compare(Compare::less, a, Tensor::ones({5}, Dtype::f64)),
                       "compare: shapes (2, 3, 4) and (5) do not broadcast", Error);
}

}  // namespace nabla
