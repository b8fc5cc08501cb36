#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpFunction product(bool a_transposed, bool b_transposed) {
  return [=](Inputs in) { return matmul(in[0], in[1], a_transposed, b_transposed); };
}

OpCase matmul_case{
    "matmul",
    {{3, 5}, {5, 4}},
    product(false, false),
    {.also = {{{1, 1}, {1, 1}}, {{7, 33}, {33, 9}}, {{0, 3}, {3, 2}}, {{2, 0}, {0, 3}}, {{0, 2, 3}, {3, 4}}},
     .wrong = {{{{2, 3}, {4, 5}}, "matmul: shapes (2, 3) and (4, 5) do not multiply"},
               {{{2, 2, 3}, {3, 3, 5}}, "matmul: leading axes of (2, 2, 3) and (3, 3, 5) differ"},
               {{{3}, {3, 5}}, "matmul: shapes (3) and (3, 5): both need two axes"}}}};
OpCase matmul_batched{"matmul.batched", {{2, 3, 2, 5}, {2, 3, 5, 4}}, product(false, false)};
OpCase matmul_a{"matmul.a_transposed", {{2, 5, 3}, {2, 5, 4}}, product(true, false)};
OpCase matmul_b{"matmul.b_transposed", {{2, 3, 5}, {2, 4, 5}}, product(false, true)};
OpCase matmul_both{"matmul.both_transposed", {{2, 5, 3}, {2, 4, 5}}, product(true, true)};
OpCase shared_b{"matmul.shared_b", {{2, 3, 5}, {5, 4}}, product(false, false)};
OpCase shared_b_both{"matmul.shared_b_transposed", {{2, 5, 3}, {4, 5}}, product(true, true)};
OpCase shared_a{"matmul.shared_a", {{3, 5}, {2, 5, 4}}, product(false, false)};
OpCase shared_a_both{"matmul.shared_a_transposed", {{5, 3}, {2, 4, 5}}, product(true, true)};

}  // namespace

}  // namespace nabla
