#include "tensor/shape.h"

#include <doctest/doctest.h>

using namespace nabla;

TEST_CASE("shape: sizes, negative axes and numel") {
  Shape shape{2, 3, 5};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 30);
  CHECK(shape[-1] == 5);
  CHECK(shape.back() == 5);
  CHECK(shape.to_string() == "(2, 3, 5)");
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{}.to_string() == "()");
  CHECK(Shape{4, 0}.numel() == 0);
  CHECK_THROWS_WITH_AS(shape[3], "axis 3 is out of range for shape (2, 3, 5)", Error);
  CHECK_THROWS_AS(shape[-4], Error);
  CHECK(shape == Shape{2, 3, 5});
  CHECK_FALSE(shape == Shape{2, 3});
}

TEST_CASE("shape: insert and erase keep the order of the other axes") {
  Shape shape{2, 3};
  shape.insert(1, 7);
  CHECK(shape == Shape{2, 7, 3});
  shape.insert(3, 9);
  CHECK(shape == Shape{2, 7, 3, 9});
  shape.erase(0);
  CHECK(shape == Shape{7, 3, 9});
  shape.erase(-1);
  CHECK(shape == Shape{7, 3});
  CHECK_THROWS_AS(shape.insert(3, 1), Error);
}

TEST_CASE("shape: at most eight axes") {
  Shape shape{1, 1, 1, 1, 1, 1, 1, 1};
  CHECK_THROWS_WITH_AS(shape.push_back(1), "shape: more than 8 axes", Error);
}

TEST_CASE("shape: row-major strides") {
  CHECK(contiguous_strides({2, 3, 5}) == Strides{15, 5, 1});
  CHECK(contiguous_strides({}) == Strides{});
}

TEST_CASE("shape: broadcasting") {
  CHECK(broadcast_shapes("add", {2, 3}, {3}) == Shape{2, 3});
  CHECK(broadcast_shapes("add", {2, 1}, {4, 1, 5}) == Shape{4, 2, 5});
  CHECK(broadcast_shapes("add", {}, {2}) == Shape{2});
  CHECK(broadcast_shapes("add", {0, 3}, {1, 3}) == Shape{0, 3});
  CHECK_THROWS_WITH_AS(broadcast_shapes("add", {2, 3}, {4}), "add: shapes (2, 3) and (4) do not broadcast",
                       Error);
}
