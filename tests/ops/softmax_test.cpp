#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace dinomaly {

namespace {

OpOptions row_options(const std::string& op) {
  return {.also = {{{1, 1}}, {{2, 33}}, {{0, 3}}, {{3, 0}}, {{8}}},
          .wrong = {{{Shape{}}, op + ": x of () has no axis"}}};
}

OpCase softmax_case{"softmax", {{2, 3, 7}}, [](Inputs in) { return softmax(in[0]); }, row_options("softmax")};
OpCase log_softmax_case{
    "log_softmax", {{2, 3, 7}}, [](Inputs in) { return log_softmax(in[0]); }, row_options("log_softmax")};
// Logits of which exp() overflows in f32.
OpCase softmax_large{"softmax.large", {{3, 5}}, [](Inputs in) { return softmax(in[0]); }};
OpCase log_softmax_large{"log_softmax.large", {{3, 5}}, [](Inputs in) { return log_softmax(in[0]); }};

}  // namespace

}  // namespace dinomaly
