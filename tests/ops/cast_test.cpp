#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// There and back: the values do not change, and the gradient takes the same way. A GPU computes in
// f32 at most.
OpCase cast_case{"cast",
                 {{3, 7}},
                 [](Inputs in) {
                   const Dtype wide = in[0].device().is_cpu() ? Dtype::f64 : Dtype::f32;
                   return cast(cast(in[0], wide) * 3.0, in[0].dtype());
                 },
                 {.also = {{{0, 3}}, {{1}}, {{65}}, {Shape{}}}}};

}  // namespace

TEST_CASE("cast: value and gradient have the dtype of their side") {
  const Variable x(Tensor::from(std::vector<double>{1, 1.0 + 1.0 / 1024}, {2}), true);
  const Variable y = cast(x, Dtype::bf16);
  CHECK(y.dtype() == Dtype::bf16);
  CHECK(y.value().to_vector<double>() == std::vector<double>{1, 1});
  y.backward(Tensor::full({2}, 3.0, Dtype::bf16));
  CHECK(x.grad().dtype() == Dtype::f64);
  CHECK(x.grad().to_vector<double>() == std::vector<double>{3, 3});
  CHECK_THROWS_WITH_AS(cast(x, Dtype::i64), doctest::Contains("cast: f64 to i64"), Error);
}

}  // namespace nabla
