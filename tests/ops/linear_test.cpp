#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace dinomaly {

namespace {

OpCase linear_case{
    "linear",
    {{2, 3, 5}, {4, 5}, {4}},
    [](Inputs in) { return linear(in[0], in[1], in[2]); },
    {.also = {{{1, 1}, {1, 1}, {1}}, {{5}, {3, 5}, {3}}, {{7, 33}, {17, 33}, {17}}, {{0, 5}, {4, 5}, {4}}},
     .wrong = {{{{2, 5}, {4, 6}, {4}}, "linear: weight (4, 6) does not fit x (2, 5)"},
               {{{2, 5}, {4, 5}, {5}}, "linear: bias (5) does not fit weight (4, 5)"},
               {{{2, 5}, {5}, {5}}, "linear: weight (5) does not fit x (2, 5)"}}}};
OpCase linear_no_bias{"linear.no_bias",
                      {{3, 5}, {4, 5}},
                      [](Inputs in) { return linear(in[0], in[1], {}); },
                      {.also = {{{0, 5}, {4, 5}}, {{2, 1, 3}, {2, 3}}}}};

}  // namespace

}  // namespace dinomaly
