#include <doctest/doctest.h>

#include <cmath>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// The tables of angles 0.3 (token + 1) (j + 1), as x's.
RopeTables rope_tables(const Variable& x, int64_t tokens, int64_t pairs) {
  const Tensor cosines = Tensor::empty({tokens, pairs}, Dtype::f64), sines = Tensor::empty_like(cosines);
  for (int64_t i = 0; i < tokens * pairs; ++i) {
    const double angle = 0.3 * static_cast<double>((i / pairs + 1) * (i % pairs + 1));
    cosines.data<double>()[i] = std::cos(angle);
    sines.data<double>()[i] = std::sin(angle);
  }
  return {cosines.to(x.dtype()).to(x.device()), sines.to(x.dtype()).to(x.device())};
}

// The first token of several stays as it is.
Variable rope_of(const Variable& x) {
  const Shape& shape = x.shape();
  if (shape.rank() != 4) return rope(x, {});
  return rope(x, rope_tables(x, shape[2] > 1 ? shape[2] - 1 : shape[2], shape[3] / 2));
}

// PyTorch: case("rope", [(2, 3, 5, 6)], lambda x: rope(x, prefix=1))
OpCase rope_case{"rope",
                 {{2, 3, 5, 6}},
                 [](Inputs in) { return rope_of(in[0]); },
                 {.also = {{{1, 1, 1, 2}}, {{1, 2, 19, 66}}, {{2, 1, 0, 4}}, {{0, 2, 3, 4}}},
                  .wrong = {{{{2, 5, 6}}, "rope: x (2, 5, 6) is not (B, H, N, d) with an even d"},
                            {{{1, 2, 5, 7}}, "rope: x (1, 2, 5, 7) is not (B, H, N, d) with an even d"}}}};

}  // namespace

// A product of two rotated rows depends on the difference of their angles alone: the reason for the whole idea.
TEST_CASE("rope makes products of tokens depend on their distance") {
  Generator generator(3);
  const Tensor q = Tensor::normal({1, 1, 1, 8}, 0, 1, generator, Dtype::f64),
               k = Tensor::normal({1, 1, 1, 8}, 0, 1, generator, Dtype::f64);
  const RopeTables tables = rope_tables(Variable(q), 12, 4);
  const auto at = [&](const Tensor& x, int64_t token) {
    const RopeTables one{tables.cosines.slice(0, token, token + 1), tables.sines.slice(0, token, token + 1)};
    return rope(Variable(x), one).value();
  };
  const auto product = [&](int64_t i, int64_t j) { return sum(at(q, i) * at(k, j)).item(); };
  CHECK(product(7, 3) == doctest::Approx(product(11, 7)).epsilon(1e-12));
  CHECK(std::fabs(product(7, 3) - product(7, 4)) > 1e-3);
}

TEST_CASE("rope refuses tables that do not fit") {
  const Variable x(Tensor::ones({1, 2, 3, 4}));
  const auto tables = [](const Shape& shape, Dtype dtype = Dtype::f32) {
    return RopeTables{Tensor::ones(shape, dtype), Tensor::ones(shape, dtype)};
  };
  CHECK_THROWS_WITH(rope(x, tables({4, 2})), doctest::Contains("rope: tables of (4, 2) and (4, 2)"));
  CHECK_THROWS_WITH(rope(x, tables({3, 3})), doctest::Contains("rope: tables of (3, 3) and (3, 3)"));
  CHECK_THROWS_WITH(rope(x, tables({3, 2}, Dtype::f64)),
                    doctest::Contains("rope: tables of f64 on cpu do not fit x of f32 on cpu"));
  CHECK_THROWS_WITH(rope(x, {}), doctest::Contains("rope: no tables"));
}

}  // namespace nabla
