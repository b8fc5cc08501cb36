#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpCase cat_case{"cat",
                {{2, 3}, {2, 1}, {2, 4}},
                [](Inputs in) { return cat(in, -1); },
                {.also = {{{1, 1}, {1, 1}}, {{2, 0}, {2, 33}}, {{0, 2}, {0, 3}}},
                 .wrong = {{{{2, 3}, {3, 3}}, "cat: shapes (2, 3) and (3, 3) do not join along axis 1"},
                           {{}, "cat: nothing to join"}}}};
OpCase cat_rows{"cat.axis_0", {{2, 3, 2}, {1, 3, 2}}, [](Inputs in) { return cat(in, 0); }};
OpCase stack_case{"cat.stack",
                  {{2, 3}, {2, 3}, {2, 3}},
                  [](Inputs in) { return stack(in, 1); },
                  {.also = {{{1, 1}}, {{0, 2}, {0, 2}}},
                   .wrong = {{{{2, 3}, {2, 4}}, "stack: parts of (2, 3) and (2, 4) differ"},
                             {{Shape{}}, "stack: axis 1 is out of range for parts of ()"}}}};
OpCase stack_last{"cat.stack_last", {{2, 3}, {2, 3}}, [](Inputs in) { return stack(in, -1); }};

}  // namespace

}  // namespace nabla
