#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tensor/tensor.h"

using namespace nabla;

namespace {

Tensor counting(const Shape& shape) { return Tensor::arange(shape.numel(), Dtype::f32).reshape(shape); }

// Row-major values of a view, read element by element through offset and strides alone.
std::vector<float> by_hand(const Tensor& x) {
  std::vector<float> values;
  const float* base = static_cast<const float*>(x.storage()->data());
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t place = x.storage_offset(), rest = i;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      place += rest % x.size(axis) * x.strides()[axis];
      rest /= x.size(axis);
    }
    values.push_back(base[place]);
  }
  return values;
}

}  // namespace

TEST_CASE("views: transpose, permute, slice, select") {
  const Tensor x = counting({2, 3, 4});
  CHECK(x.transpose(0, -1).shape() == Shape{4, 3, 2});
  CHECK(x.transpose(0, -1).storage() == x.storage());
  CHECK(x.permute({2, 0, 1}).to_vector<float>()[1] == 4);
  CHECK(x.slice(2, 1, 4, 2).to_vector<float>() ==
        std::vector<float>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  CHECK(x.slice(0, 2, 2).shape() == Shape{0, 3, 4});
  CHECK(x.select(1, 2).to_vector<float>() == std::vector<float>{8, 9, 10, 11, 20, 21, 22, 23});
  CHECK(x.select(-1, 0).shape() == Shape{2, 3});
}

TEST_CASE("views: expand, unsqueeze, squeeze") {
  const Tensor x = counting({2, 1});
  CHECK(x.expand({3, 2, 2}).to_vector<float>() == std::vector<float>{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(x.expand({3, 2, 2}).strides() == Strides{0, 1, 0});
  CHECK(x.unsqueeze(0).shape() == Shape{1, 2, 1});
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 1, 1});
  CHECK(x.unsqueeze(1).is_contiguous());
  CHECK(x.squeeze(1).shape() == Shape{2});
  CHECK(x.squeeze(-1).unsqueeze(0).to_vector<float>() == std::vector<float>{0, 1});
}

TEST_CASE("views: what does not fit is named") {
  const Tensor x = counting({2, 3});
  CHECK_THROWS_WITH_AS(x.slice(1, 2, 4), "slice: [2, 4) with step 1 does not fit axis 1 of shape (2, 3)",
                       Error);
  CHECK_THROWS_AS(x.slice(1, 0, 3, 0), Error);
  CHECK_THROWS_AS(x.slice(1, -1, 3), Error);
  CHECK_THROWS_WITH_AS(x.select(0, 2), "select: index 2 is out of range for axis 0 of shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(x.permute({0, 0}), "permute: axis 0 is given twice for shape (2, 3)", Error);
  CHECK_THROWS_AS(x.permute({0}), Error);
  CHECK_THROWS_WITH_AS(x.expand({2, 4}), "expand: shape (2, 3) does not expand to (2, 4)", Error);
  CHECK_THROWS_AS(x.expand({3}), Error);
  CHECK_THROWS_WITH_AS(x.squeeze(0), "squeeze: axis 0 of shape (2, 3) is not of size 1", Error);
  CHECK_THROWS_AS(x.unsqueeze(4), Error);
  CHECK_THROWS_AS(x.transpose(0, 2), Error);
  CHECK_THROWS_WITH_AS(x.reshape({4, -1}), "reshape: (2, 3) does not fit (4, -1)", Error);
  CHECK_THROWS_AS(x.reshape({-1, -1}), Error);
  CHECK_THROWS_AS(x.reshape({7}), Error);
  CHECK_THROWS_AS(x.reshape({-2, -3}), Error);
  CHECK_THROWS_AS(Tensor::empty({0}).reshape({0, -1}), Error);
}

TEST_CASE("views: reshape of permuted, sliced and expanded tensors") {
  const Tensor x = counting({2, 3, 4});
  const auto check_reshape = [&](const Tensor& view, const Shape& shape, bool shares) {
    const Tensor result = view.reshape(shape);
    CHECK(result.shape() == shape);
    CHECK(by_hand(result) == by_hand(view));
    CHECK((result.storage() == x.storage()) == shares);
  };
  check_reshape(x, {4, 6}, true);
  CHECK(x.reshape({4, -1}).shape() == Shape{4, 6});
  check_reshape(x.permute({1, 2, 0}), {12, 2}, true);    // axes 1 and 2 still lie one after the other
  check_reshape(x.permute({1, 2, 0}), {4, 3, 2}, true);  // merged, then split elsewhere
  check_reshape(x.permute({1, 2, 0}), {3, 8}, false);
  check_reshape(x.transpose(0, 1), {24}, false);
  check_reshape(x.slice(2, 0, 4, 2), {12}, true);  // one stride of 2 throughout
  check_reshape(x.slice(2, 0, 3), {6, 3}, true);
  check_reshape(x.slice(2, 0, 3), {18}, false);
  check_reshape(x.slice(1, 1, 2), {2, 2, 1, 2}, true);
  check_reshape(x.select(1, 0).unsqueeze(1).expand({2, 5, 4}), {2, 5, 2, 2}, true);
  check_reshape(x.select(1, 0).unsqueeze(1).expand({2, 5, 4}), {10, 4}, false);
}

TEST_CASE("views: is_contiguous ignores axes of size 1") {
  const Tensor x = counting({3, 1, 4});
  CHECK(x.is_contiguous());
  CHECK(x.transpose(0, 1).is_contiguous());
  CHECK_FALSE(x.transpose(0, 2).is_contiguous());
  CHECK(x.slice(0, 1, 2).is_contiguous());
  CHECK_FALSE(x.slice(2, 0, 2).is_contiguous());
  CHECK(x.slice(2, 0, 0).is_contiguous());
  CHECK(x.contiguous().storage() == x.storage());
}

TEST_CASE("views: copies of every permutation, in sizes around the tile of the transposition") {
  for (const Shape& shape : {Shape{2, 3, 5, 4}, Shape{1, 33, 2, 65}, Shape{3, 32, 31, 1}}) {
    const Tensor x = counting(shape);
    std::vector<int> axes{0, 1, 2, 3};
    do {
      const Tensor view = x.permute(axes);
      CHECK(view.to_vector<float>() == by_hand(view));
      const Tensor sliced = view.slice(1, view.size(1) / 2, view.size(1)).slice(3, 0, view.size(3), 2);
      CHECK(sliced.clone().to_vector<float>() == by_hand(sliced));
      // Written through a permuted view, with conversion on the way.
      const Tensor target = Tensor::zeros(x.shape(), Dtype::f64);
      target.permute(axes).copy_from(view);
      CHECK(target.to_vector<float>() == by_hand(x));
    } while (std::next_permutation(axes.begin(), axes.end()));
  }
}

TEST_CASE("views: a transposition large enough for several threads") {
  const Tensor x = counting({2, 197, 384});
  const Tensor moved = x.permute({0, 2, 1}).contiguous();
  CHECK(moved.to_vector<float>() == by_hand(x.permute({0, 2, 1})));
  CHECK(moved.permute({0, 2, 1}).to_vector<float>() == x.to_vector<float>());
}
