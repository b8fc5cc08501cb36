#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpCase mlp_case{
    "mlp",
    {{2, 3, 5}, {7, 5}, {7}, {4, 7}, {4}},
    [](Inputs in) {
      return mlp(in[0], {in[1], in[2]}, {in[3], in[4]});
    },
    {.also = {{{1, 1}, {1, 1}, {1}, {1, 1}, {1}},
              {{0, 5}, {7, 5}, {7}, {4, 7}, {4}},
              {{9, 33}, {35, 33}, {35}, {17, 35}, {17}}},
     .wrong = {{{{2, 5}, {7, 6}, {7}, {4, 7}, {4}}, "mlp: weight (7, 6) does not fit x (2, 5)"},
               {{{2, 5}, {7, 5}, {7}, {4, 6}, {4}}, "mlp: weight (4, 6) does not fit x (2, 7)"},
               {{{2, 5}, {7, 5}, {7}, {4, 7}, {5}}, "mlp: bias (5) does not fit weight (4, 7)"}}}};
OpCase mlp_no_bias{"mlp.no_bias", {{3, 5}, {7, 5}, {5, 7}}, [](Inputs in) {
                     return mlp(in[0], {in[1], {}}, {in[2], {}});
                   }};
OpCase mlp_residual{
    "mlp.residual",
    {{2, 3, 5}, {7, 5}, {7}, {5, 7}, {5}},
    [](Inputs in) {
      return mlp(in[0], {in[1], in[2]}, {in[3], in[4]}, {in[0], {}});
    },
    {.wrong = {{{{2, 5}, {7, 5}, {7}, {4, 7}, {4}}, "mlp: residual (2, 5) does not fit the output (2, 4)"}}}};
OpCase mlp_scaled_residual{"add.scaled_mlp", {{3, 5}, {7, 5}, {7}, {4, 7}, {4}, {3, 4}, {4}}, [](Inputs in) {
                             return mlp(in[0], {in[1], in[2]}, {in[3], in[4]}, {in[5], in[6]});
                           }};

}  // namespace

}  // namespace nabla
