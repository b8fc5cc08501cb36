#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

Variable cosine(Inputs in) { return cosine_similarity(in[0], in[1]); }

OpCase cosine_case{
    "cosine_similarity",
    {{3, 4, 7}, {3, 4, 7}},
    cosine,
    {.also = {{{1, 1}, {1, 1}}, {{1, 3}, {1, 3}}, {{2, 33}, {2, 33}}, {{0, 5}, {0, 5}}, {{8}, {8}}},
     .wrong = {{{{2, 3}, {2, 4}}, "cosine_similarity: shapes (2, 3) and (2, 4) differ"},
               {{{2, 3}, {3}}, "cosine_similarity: shapes (2, 3) and (3) differ"},
               {{Shape{}, Shape{}}, "cosine_similarity: shapes () and ()"}}}};
// Row 0 of a is shorter than eps. Torch differentiates the norm there as if it were not clamped.
OpCase cosine_tiny{"cosine_similarity.tiny", {{2, 3}, {2, 3}}, cosine, {.finite_differences = false}};

}  // namespace

TEST_CASE("rows of zeros have similarity 0 and finite gradients") {
  const Tensor zeros = Tensor::zeros({1, 4}, Dtype::f64), ones = Tensor::ones({1, 4}, Dtype::f64);
  const Evaluation got = evaluate(cosine, {zeros, ones}, {});
  CHECK(got.output.item() == 0);
  for (double gradient : got.gradients[1].to_vector<double>()) CHECK(gradient == 0);
  for (double gradient : got.gradients[0].to_vector<double>()) CHECK(gradient == doctest::Approx(0.5e8));
}

}  // namespace nabla
