#include "tensor/tensor.h"

#include <doctest/doctest.h>

#include <limits>

using namespace nabla;

TEST_CASE("tensor: making one") {
  CHECK(Tensor::full({2, 2}, 1.5).to_vector<float>() == std::vector<float>(4, 1.5f));
  CHECK(Tensor::zeros({3}, Dtype::u8).to_vector<uint8_t>() == std::vector<uint8_t>(3, 0));
  CHECK(Tensor::ones({2}, Dtype::bf16).to_vector<float>() == std::vector<float>(2, 1.0f));
  CHECK(Tensor::arange(4).to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(Tensor::arange(256, Dtype::u8).to_vector<int64_t>().back() == 255);
  CHECK_THROWS_WITH_AS(Tensor::arange(300, Dtype::u8), "arange: u8 does not hold 299", Error);
  CHECK(Tensor::arange(3, Dtype::f64).to_vector<double>() == std::vector<double>{0, 1, 2});
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.strides() == Strides{3, 1});
  CHECK(x.bytes() == 24);
  CHECK(x.dtype() == Dtype::f32);
  CHECK_THROWS_WITH_AS(Tensor::from<float>({1, 2}, {3}), "from: 2 values do not fill shape (3)", Error);
}

TEST_CASE("tensor: undefined, scalar and empty ones") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK_THROWS_AS(none.data<float>(), Error);
  CHECK_THROWS_AS(none.item(), Error);
  CHECK_THROWS_AS(none.clone(), Error);
  const Tensor scalar = Tensor::full({}, 7);
  CHECK(scalar.rank() == 0);
  CHECK(scalar.item() == 7);
  const Tensor nothing = Tensor::empty({0, 3});
  CHECK(nothing.defined());
  CHECK(nothing.clone().shape() == Shape{0, 3});
  CHECK(nothing.to(Dtype::bf16).to_vector<float>().empty());
  CHECK_THROWS_WITH_AS(Tensor::ones({2, 2}).item(), "item(): shape (2, 2) has 4 elements, not one", Error);
}

TEST_CASE("tensor: impossible sizes are refused before anything is allocated") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK_THROWS_WITH_AS(Tensor::empty({2, -1}), "empty: shape (2, -1) has a negative size", Error);
  CHECK_THROWS_WITH_AS(Tensor::empty({1 << 30, 1 << 30, 8}),
                       "empty: shape (1073741824, 1073741824, 8) of f32 is too large", Error);
  CHECK_THROWS_AS(Tensor::empty({huge}), Error);
  CHECK_THROWS_AS(Tensor::empty({0, huge, huge}), Error);
  CHECK_THROWS_AS(Tensor::ones({1}).expand({huge, huge}), Error);
}

TEST_CASE("tensor: handles share, clones do not") {
  const Tensor x = Tensor::zeros({2});
  const Tensor same = x, copy = x.clone();
  same.fill(3);
  CHECK(x.to_vector<float>() == std::vector<float>{3, 3});
  CHECK(copy.to_vector<float>() == std::vector<float>{0, 0});
}

TEST_CASE("tensor: data() checks the type") {
  const Tensor x = Tensor::zeros({2});
  CHECK_THROWS_WITH_AS(x.data<double>(), "data<f64>() of a tensor of f32", Error);
  CHECK(x.data<const float>()[1] == 0.0f);
}

TEST_CASE("tensor: conversion between all dtypes; floats truncate to integers") {
  const std::vector<double> values{0, 1, 2.75, 100.5};
  const Tensor x = Tensor::from(values, {4});
  for (Dtype from : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::i64, Dtype::u8, Dtype::i8}) {
    for (Dtype to : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::i64, Dtype::u8, Dtype::i8}) {
      const Tensor y = x.to(from).to(to);
      CHECK(y.dtype() == to);
      const bool whole = !is_floating(from) || !is_floating(to);
      const std::vector<double> expected{0, 1, whole ? 2 : 2.75, whole ? 100 : 100.5};
      CHECK(y.to_vector<double>() == expected);
    }
  }
  CHECK(Tensor::from<float>({-2.75f}, {1}).to(Dtype::i64).to_vector<int64_t>() == std::vector<int64_t>{-2});
  const Tensor same = x.to(Dtype::f64);
  CHECK(same.storage() == x.storage());
}

TEST_CASE("tensor: wrap borrows memory and keeps its owner alive") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> watched = owner;
  Tensor x = Tensor::wrap(owner->data(), {2, 2}, Dtype::f32, owner);
  owner.reset();
  CHECK_FALSE(watched.expired());
  const Tensor column = x.select(1, 1);
  x = {};
  CHECK(column.to_vector<float>() == std::vector<float>{2, 4});
  CHECK_FALSE(watched.expired());
  float borrowed[2] = {5, 6};
  const Tensor y = Tensor::wrap(borrowed, {2}, Dtype::f32, nullptr);
  y.fill(9);
  CHECK(borrowed[1] == 9);
}

TEST_CASE("tensor: copy_from converts, follows strides and checks shapes") {
  const Tensor target = Tensor::zeros({2, 3});
  target.transpose(0, 1).copy_from(Tensor::arange(6).reshape({3, 2}));
  CHECK(target.to_vector<float>() == std::vector<float>{0, 2, 4, 1, 3, 5});
  target.slice(1, 0, 3, 2).fill(-1);
  CHECK(target.to_vector<float>() == std::vector<float>{-1, 2, -1, -1, 3, -1});
  CHECK_THROWS_WITH_AS(target.copy_from(Tensor::zeros({3, 2})), "copy: shapes (3, 2) and (2, 3) differ",
                       Error);
  CHECK_THROWS_AS(Tensor::zeros({1}).expand({4}).copy_from(Tensor::zeros({4})), Error);
}
