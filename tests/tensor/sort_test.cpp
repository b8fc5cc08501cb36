#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/ops.h"

using namespace nabla;

namespace {

using Values = std::vector<float>;
using Places = std::vector<int64_t>;

}  // namespace

TEST_CASE("sort: stable, NaN last in both directions") {
  const Tensor x = Tensor::from<float>({2, NAN, 1, 2, -INFINITY, NAN, INFINITY}, {7});
  const auto [up, up_places] = sort(x);
  CHECK(up_places.to_vector<int64_t>() == Places{4, 2, 0, 3, 6, 1, 5});
  CHECK(up.to_vector<float>()[0] == -INFINITY);
  CHECK_UNARY(std::isnan(up.to_vector<float>()[6]));
  CHECK(sort(x, -1, true).second.to_vector<int64_t>() == Places{6, 0, 3, 2, 4, 1, 5});
}

TEST_CASE("sort and topk: along any axis, of any dtype") {
  const Tensor x = Tensor::from<int64_t>({3, 1, 2, 9, 7, 8}, {2, 3});
  CHECK(sort(x, 0, true).first.to_vector<int64_t>() == Places{9, 7, 8, 3, 1, 2});
  CHECK(sort(x, 1).second.to_vector<int64_t>() == Places{1, 2, 0, 1, 2, 0});
  const auto [values, places] = topk(x.to(Dtype::bf16), 2);
  CHECK(values.shape() == Shape{2, 2});
  CHECK(values.to_vector<float>() == Values{3, 2, 9, 8});
  CHECK(places.to_vector<int64_t>() == Places{0, 2, 0, 2});
  CHECK(topk(x, 1, 0, false).first.to_vector<int64_t>() == Places{3, 1, 2});
  CHECK(topk(x, 0).first.shape() == Shape{2, 0});
  CHECK(sort(Tensor::empty({3, 0})).first.shape() == Shape{3, 0});
  CHECK_THROWS_WITH_AS(topk(x, 4), "topk: k = 4 does not fit axis -1 of shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(sort(x, 2), "sort: axis 2 is out of range for shape (2, 3)", Error);
}

TEST_CASE("topk: the first k of the sorted row, ties by index") {
  Generator generator(1);
  // Few different values: many ties.
  const Tensor x = Tensor::uniform({5, 2000}, 0, 50, generator).to(Dtype::u8).to(Dtype::f32);
  for (bool largest : {true, false}) {
    const auto [sorted, order] = sort(x, -1, largest);
    const auto [values, places] = topk(x, 639, -1, largest);
    CHECK(values.to_vector<float>() == sorted.slice(1, 0, 639).to_vector<float>());
    CHECK(places.to_vector<int64_t>() == order.slice(1, 0, 639).to_vector<int64_t>());
    const auto flat = sorted.to_vector<float>();
    CHECK(std::is_sorted(flat.begin(), flat.begin() + 2000,
                         [&](float a, float b) { return largest ? a > b : a < b; }));
    // The indices are a permutation that leads to the values.
    auto first = order.slice(0, 0, 1).to_vector<int64_t>();
    const auto row = x.slice(0, 0, 1).to_vector<float>();
    for (int i = 0; i < 2000; ++i) CHECK(row[static_cast<size_t>(first[i])] == flat[i]);
    std::sort(first.begin(), first.end());
    Places every(2000);
    std::iota(every.begin(), every.end(), 0);
    CHECK(first == every);
  }
}

TEST_CASE("argmax: the first of equals along any axis; NaN counts as largest") {
  const Tensor x = Tensor::from<float>({1, 5, 5, 7, 2, 7}, {2, 3});
  CHECK(argmax(x).to_vector<int64_t>() == Places{1, 0});
  CHECK(argmax(x, 0).to_vector<int64_t>() == Places{1, 0, 1});
  CHECK(argmax(Tensor::from<float>({1, NAN, 9, NAN}, {4})).item() == 1);
  CHECK_THROWS_WITH_AS(argmax(Tensor::empty({2, 0})), "argmax: axis 1 of shape (2, 0) is empty", Error);
}
