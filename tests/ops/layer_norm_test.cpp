#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace dinomaly {

namespace {

OpCase layer_norm_case{
    "layer_norm",
    {{2, 3, 17}, {17}, {17}},
    [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-6); },
    {.also = {{{1, 1}, {1}, {1}}, {{4, 33}, {33}, {33}}, {{0, 5}, {5}, {5}}, {{8}, {8}, {8}}},
     .wrong = {{{{2, 5}, {4}, {5}}, "layer_norm: weight (4) and bias (5) do not fit x (2, 5)"},
               {{{2, 5}, {5}, {1, 5}}, "layer_norm: weight (5) and bias (1, 5) do not fit x (2, 5)"},
               {{{2, 0}, {0}, {0}}, "layer_norm: x (2, 0) has nothing to normalise"}}}};

}  // namespace

}  // namespace dinomaly
