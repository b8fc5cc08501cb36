#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpCase linear_attention_case{
    "linear_attention",
    {{2, 2, 5, 3}, {2, 2, 5, 3}, {2, 2, 5, 3}},
    [](Inputs in) { return linear_attention(in[0], in[1], in[2], 0); },
    {.also = {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}},
              {{1, 2, 19, 8}, {1, 2, 19, 8}, {1, 2, 19, 8}},
              {{1, 2, 71, 32}, {1, 2, 71, 32}, {1, 2, 71, 32}},  // more rows than a tile, as many columns
              {{1, 1, 33, 45}, {1, 1, 33, 45}, {1, 1, 33, 45}},
              {{1, 1, 34, 63}, {1, 1, 34, 63}, {1, 1, 34, 63}},  // with the ones two tiles, and three
              {{1, 1, 5, 64}, {1, 1, 5, 64}, {1, 1, 5, 64}},
              {{1, 2, 0, 3}, {1, 2, 0, 3}, {1, 2, 0, 3}},
              {{0, 2, 3, 3}, {0, 2, 3, 3}, {0, 2, 3, 3}}},
     .wrong =
         {{{{2, 2, 5, 3}, {2, 2, 4, 3}, {2, 2, 5, 3}},
           "linear_attention: q (2, 2, 5, 3), k (2, 2, 4, 3) and v (2, 2, 5, 3) are not all (B, H, N, d)"},
          {{{5, 3}, {5, 3}, {5, 3}}, "linear_attention: q (5, 3)"}},
     .largest = 50}};  // with eps 0, features of e^-100 leave nothing to divide by
OpCase linear_attention_eps{"linear_attention.eps",
                            {{1, 2, 5, 3}, {1, 2, 5, 3}, {1, 2, 5, 3}},
                            [](Inputs in) { return linear_attention(in[0], in[1], in[2], 0.5); }};
OpCase packed_linear_attention_case{
    "packed_linear_attention",
    {{2, 5, 18}},
    [](Inputs in) { return packed_linear_attention(in[0], 2, 1e-6); },
    {.also = {{{1, 1, 6}}, {{1, 19, 48}}, {{2, 0, 12}}, {{0, 3, 12}}},
     .wrong = {{{{2, 5, 16}}, "packed_linear_attention: qkv of (2, 5, 16) is not (B, N, 3 * 2 heads * d)"}}}};

}  // namespace

}  // namespace nabla
