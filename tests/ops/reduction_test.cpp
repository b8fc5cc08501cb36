#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

const Shapes block{{2, 3, 5}};
const WrongCall no_axis_2{{{2, 3}}, "axis 2 is out of range for shape (2, 3)"};

OpCase sum_case{
    "sum", block, [](Inputs in) { return sum(in[0]); }, {.also = {{Shape{}}, {{1}}, {{33}}, {{0, 4}}}}};
OpCase sum_inner{"sum.axis_2", block, [](Inputs in) { return sum(in[0], {2}); }, {.wrong = {no_axis_2}}};
OpCase sum_middle{"sum.axis_1",
                  block,
                  [](Inputs in) { return sum(in[0], {1}); },
                  {.also = {{{2, 0, 3}}, {{0, 2, 3}}, {{1, 1}}}}};
OpCase sum_outer{"sum.axes_0_2", block, [](Inputs in) { return sum(in[0], {0, 2}); }};
OpCase sum_keep{"sum.keep", block, [](Inputs in) { return sum(in[0], {-1, 0}, true); }};

OpCase mean_case{
    "mean",
    block,
    [](Inputs in) { return mean(in[0]); },
    {.also = {{Shape{}}, {{1}}, {{33}}}, .wrong = {{{{0, 4}}, "mean: nothing to reduce in shape (0, 4)"}}}};
OpCase mean_inner{"mean.axis_2", block, [](Inputs in) { return mean(in[0], {2}); }, {.wrong = {no_axis_2}}};
OpCase mean_outer{"mean.axes_0_2",
                  block,
                  [](Inputs in) {
                    return mean(in[0], {0, 2});
                  },
                  {.also = {{{3, 0, 2}}, {{1, 1, 1}}}}};
OpCase mean_keep{"mean.keep", block, [](Inputs in) { return mean(in[0], {1}, true); }};

OpCase max_case{
    "max",
    block,
    [](Inputs in) { return max(in[0]); },
    {.also = {{Shape{}}, {{1}}, {{33}}}, .wrong = {{{{0}}, "max: nothing to reduce in shape (0)"}}}};
OpCase max_inner{"max.axis_2", block, [](Inputs in) { return max(in[0], {2}); }, {.wrong = {no_axis_2}}};
OpCase max_outer{"max.axes_0_2",
                 block,
                 [](Inputs in) {
                   return max(in[0], {0, 2});
                 },
                 {.also = {{{3, 0, 2}}, {{1, 1, 1}}}}};
OpCase max_keep{"max.keep", block, [](Inputs in) { return max(in[0], {1}, true); }};
OpCase max_ties{
    "max.ties", {{3, 6}}, [](Inputs in) { return max(in[0], {1}); }, {.finite_differences = false}};

}  // namespace

TEST_CASE("an axis given twice is refused") {
  CHECK_THROWS_WITH_AS(sum(Variable(Tensor::ones({2, 3})), {1, -1}),
                       "sum: axis -1 is given twice for shape (2, 3)", Error);
}

}  // namespace nabla
