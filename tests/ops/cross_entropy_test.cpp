#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// Row i has label 3 i mod C.
Variable with_labels(Inputs in) {
  std::vector<int64_t> labels(in[0].size(0));
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(3 * i) % in[0].shape().back();
  return cross_entropy(in[0], Tensor::from(labels, {in[0].size(0)}).to(in[0].device()));
}

OpCase cross_entropy_case{"cross_entropy",
                          {{5, 7}},
                          with_labels,
                          {.also = {{{1, 1}}, {{3, 33}}},
                           .wrong = {{{{0, 3}}, "cross_entropy: logits of (0, 3) are not (N, C) with N >= 1"},
                                     {{{2, 3, 4}}, "cross_entropy: logits of (2, 3, 4) are not (N, C)"}}}};

// Every second row does not count.
OpCase ignoring_case{"cross_entropy.ignoring", {{5, 7}}, [](Inputs in) {
                       std::vector<int64_t> labels(in[0].size(0), ignored_label);
                       for (size_t i = 0; i < labels.size(); i += 2)
                         labels[i] = static_cast<int64_t>(i) % in[0].size(1);
                       return cross_entropy(in[0], Tensor::from(labels, {in[0].size(0)}).to(in[0].device()));
                     }};

}  // namespace

TEST_CASE("cross_entropy: rows that are ignored change nothing") {
  Generator generator(5);
  const Tensor logits = Tensor::normal({4, 3}, 0, 1, generator, Dtype::f64);
  const double all =
      cross_entropy(logits, Tensor::from<int64_t>({2, ignored_label, 0, ignored_label}, {4})).item();
  const double two = cross_entropy(logits.slice(0, 0, 4, 2), Tensor::from<int64_t>({2, 0}, {2})).item();
  CHECK(all == doctest::Approx(two).epsilon(1e-14));
  CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::full({4}, ignored_label, Dtype::i64)),
                       "cross_entropy: all 4 labels are ignored: the mean is of nothing", Error);
}

TEST_CASE("cross_entropy refuses labels that name no class") {
  const Variable logits(Tensor::ones({2, 3}));
  CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::from<int64_t>({0, 3}, {2})),
                       "cross_entropy: label 3 is not in [0, 3)", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::from<int64_t>({-1, 0}, {2})),
                       "cross_entropy: label -1 is not in [0, 3)", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::from<int64_t>({0}, {1})),
                       "cross_entropy: labels (1) of i64 do not fit logits (2, 3)", Error);
  CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::ones({2})),
                       "cross_entropy: labels (2) of f32 do not fit logits (2, 3)", Error);
}

}  // namespace nabla
