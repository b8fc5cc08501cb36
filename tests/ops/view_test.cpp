#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpCase reshape_case{
    "reshape",
    {{2, 6}},
    [](Inputs in) {
      return reshape(in[0], {3, -1});
    },
    {.also = {{{3, 1}}, {{0, 5}}, {{33}}}, .wrong = {{{{4, 2}}, "reshape: (4, 2) does not fit (3, -1)"}}}};
OpCase flatten{"reshape.flat",
               {{3, 5}},
               [](Inputs in) { return reshape(in[0], {-1}); },
               {.also = {{{1, 1}}, {Shape{}}}}};
OpCase transpose_case{
    "transpose",
    {{2, 3, 4}},
    [](Inputs in) { return transpose(in[0], 0, -1); },
    {.also = {{{1, 1}}, {{0, 3}}, {{33, 2}}}, .wrong = {{{Shape{}}, "out of range for shape ()"}}}};
OpCase permute_case{"permute",
                    {{2, 3, 4}},
                    [](Inputs in) {
                      return permute(in[0], {2, 0, -2});
                    },
                    {.also = {{{1, 1, 1}}, {{0, 3, 2}}, {{17, 3, 2}}},
                     .wrong = {{{{2, 3}}, "permute: 3 axes given for shape (2, 3)"}}}};
OpCase slice_case{"slice",
                  {{3, 7, 2}},
                  [](Inputs in) { return slice(in[0], 1, 1, 6, 2); },
                  {.also = {{{1, 6, 1}}, {{0, 6}}, {{2, 33}}},
                   .wrong = {{{{3, 5}}, "slice: [1, 6) with step 2 does not fit axis 1 of shape (3, 5)"}}}};
OpCase slice_first{
    "slice.first", {{3, 5}}, [](Inputs in) { return slice(in[0], 0, 0, 1); }, {.also = {{{1}}}}};
OpCase slice_empty{"slice.empty", {{3, 4}}, [](Inputs in) { return slice(in[0], 0, 2, 2); }};
OpCase expand_case{"expand",
                   {{3, 1}},
                   [](Inputs in) {
                     return expand(in[0], {2, 3, 4});
                   },
                   {.also = {{{1}}, {{1, 4}}, {Shape{}}},
                    .wrong = {{{{2, 4}}, "expand: shape (2, 4) does not expand to (2, 3, 4)"}}}};
OpCase expand_wide{"expand.rows",
                   {{33}},
                   [](Inputs in) {
                     return expand(in[0], {2, in[0].size(0)});
                   },
                   {.also = {{{1}}, {{0}}}}};
OpCase expand_to_nothing{"expand.empty", {{3, 1}}, [](Inputs in) { return expand(in[0], {3, 0}); }};

}  // namespace

TEST_CASE("views share storage with what they look at") {
  const Variable x(Tensor::ones({2, 3}));
  CHECK(transpose(x, 0, 1).value().storage() == x.value().storage());
  CHECK(permute(x, {1, 0}).value().storage() == x.value().storage());
  CHECK(slice(x, 1, 0, 2).value().storage() == x.value().storage());
  CHECK(expand(x, {4, 2, 3}).value().storage() == x.value().storage());
  CHECK(reshape(x, {3, 2}).value().storage() == x.value().storage());
}

}  // namespace nabla
