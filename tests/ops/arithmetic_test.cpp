#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// Empty, ones, a scalar operand, a length no vector width divides.
OpOptions binary_options(const std::string& op, double low = -2, double high = 2) {
  return {.also = {{{1}, {1}}, {{}, {2, 3}}, {{33}, {33}}, {{0, 3}, {3}}, {{2, 0}, {1, 1}}},
          .wrong = {{{{2, 3}, {2, 4}}, op + ": shapes (2, 3) and (2, 4) do not broadcast"}},
          .low = low,
          .high = high};
}

// 0 at every third element, else 1.
Tensor thirds(const Shape& shape, Device device) {
  std::vector<uint8_t> values(shape.numel());
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % 3 != 0;
  return Tensor::from(values, shape).to(device);
}

OpCase add_case{"add", {{3, 7}, {3, 7}}, [](Inputs in) { return in[0] + in[1]; }, binary_options("add")};
OpCase add_broadcast{"add.broadcast", {{2, 1, 3}, {4, 1}}, [](Inputs in) { return in[0] + in[1]; }};
OpCase sub_case{"sub", {{3, 7}, {3, 7}}, [](Inputs in) { return in[0] - in[1]; }, binary_options("sub")};
OpCase sub_broadcast{"sub.broadcast", {{4, 1}, {2, 1, 3}}, [](Inputs in) { return in[0] - in[1]; }};
OpCase mul_case{"mul", {{3, 7}, {3, 7}}, [](Inputs in) { return in[0] * in[1]; }, binary_options("mul")};
OpCase mul_broadcast{"mul.broadcast", {{2, 1, 3}, {4, 1}}, [](Inputs in) { return in[0] * in[1]; }};
OpCase div_case{
    "div", {{3, 7}, {3, 7}}, [](Inputs in) { return in[0] / in[1]; }, binary_options("div", 0.5, 2)};
OpCase div_broadcast{"div.broadcast", {{2, 1, 3}, {4, 1}}, [](Inputs in) { return in[0] / in[1]; }};
OpCase maximum_case{
    "maximum", {{3, 7}, {3, 7}}, [](Inputs in) { return maximum(in[0], in[1]); }, binary_options("maximum")};
OpCase maximum_broadcast{
    "maximum.broadcast", {{2, 1, 3}, {4, 1}}, [](Inputs in) { return maximum(in[0], in[1]); }};
OpCase where_case{"where",
                  {{3, 7}, {3, 7}},
                  [](Inputs in) { return where(thirds(in[0].shape(), in[0].device()), in[0], in[1]); },
                  {.also = {{{1}, {1}}, {{33}, {33}}, {{0, 3}, {0, 3}}},
                   .wrong = {{{{2, 3}, {2, 4}}, "where: shapes (2, 3) and (2, 4) do not broadcast"}}}};
OpCase where_broadcast{"where.broadcast", {{3, 1}, {1, 5}}, [](Inputs in) {
                         return where(thirds({2, 1, 5}, in[0].device()), in[0], in[1]);
                       }};
OpCase affine_case{"affine",
                   {{3, 7}},
                   [](Inputs in) { return affine(in[0], -1.5, 0.25); },
                   {.also = {{Shape{}}, {{1}}, {{33}}, {{0, 4}}}}};

}  // namespace

TEST_CASE("maximum gives each of two equal operands half of the gradient") {
  const Tensor ones = Tensor::ones({2}, Dtype::f64);
  const Evaluation got = evaluate([](Inputs in) { return maximum(in[0], in[1]); }, {ones, ones}, ones);
  for (const Tensor& gradient : got.gradients)
    CHECK(gradient.to_vector<double>() == std::vector<double>{0.5, 0.5});
}

TEST_CASE("operators with numbers mean affine") {
  const Variable x(Tensor::from<double>({1, 2}, {2}));
  CHECK((3 * x).value().to_vector<double>() == std::vector<double>{3, 6});
  CHECK((x * 3).value().to_vector<double>() == std::vector<double>{3, 6});
  CHECK((x + 3).value().to_vector<double>() == std::vector<double>{4, 5});
  CHECK((3 - x).value().to_vector<double>() == std::vector<double>{2, 1});
}

}  // namespace nabla
