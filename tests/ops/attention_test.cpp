#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/ops/op_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

OpCase attention_case{
    "attention",
    {{2, 2, 5, 7}, {2, 2, 4, 7}, {2, 2, 4, 7}},
    [](Inputs in) { return attention(in[0], in[1], in[2], 0.3); },
    {.also = {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}},
              {{1, 2, 19, 8}, {1, 2, 19, 8}, {1, 2, 19, 8}},
              {{1, 1, 3, 5}, {1, 1, 67, 5}, {1, 1, 67, 5}},
              {{1, 1, 203, 2}, {1, 1, 3, 2}, {1, 1, 3, 2}},  // more queries than one tile holds
              {{1, 1, 35, 45}, {1, 1, 70, 45}, {1, 1, 70, 45}},
              {{1, 2, 33, 70}, {1, 2, 37, 70}, {1, 2, 37, 70}},
              {{1, 2, 0, 3}, {1, 2, 4, 3}, {1, 2, 4, 3}},
              {{0, 2, 3, 3}, {0, 2, 4, 3}, {0, 2, 4, 3}}},
     .wrong = {{{{2, 2, 5, 7}, {2, 2, 4, 6}, {2, 2, 4, 6}},
                "attention: q (2, 2, 5, 7), k (2, 2, 4, 6) and v (2, 2, 4, 6) are not"},
               {{{2, 2, 5, 7}, {2, 2, 4, 7}, {2, 2, 5, 7}}, "attention: q (2, 2, 5, 7), k (2, 2, 4, 7)"},
               {{{2, 5, 7}, {2, 5, 7}, {2, 5, 7}}, "attention: q (2, 5, 7)"},
               {{{1, 1, 2, 3}, {1, 1, 0, 3}, {1, 1, 0, 3}}, "attention: q (1, 1, 2, 3) has no keys"}}}};
OpCase attention_same{"attention.self", {{1, 2, 6, 4}, {1, 2, 6, 4}, {1, 2, 6, 4}}, [](Inputs in) {
                        return attention(in[0], in[1], in[2], 0.5);
                      }};
OpCase packed_attention_case{
    "packed_attention",
    {{2, 5, 18}},
    [](Inputs in) { return packed_attention(in[0], 2, 0.6); },
    {.also = {{{1, 1, 6}}, {{1, 19, 48}}, {{2, 0, 12}}, {{0, 3, 12}}},
     .wrong = {{{{2, 5, 16}}, "packed_attention: qkv of (2, 5, 16) is not (B, N, 3 * 2 heads * d)"},
               {{{5, 18}}, "packed_attention: qkv of (5, 18) is not (B, N, 3 * 2 heads * d)"}}}};

// Angles 0.3 (token + 1) (j + 1) for all tokens but the first.
Variable turned_packed_attention(const Variable& qkv) {
  const int64_t tokens = std::max<int64_t>(0, qkv.size(1) - 1), pairs = qkv.size(2) / 12;
  const Tensor angles = Tensor::empty({tokens, pairs}, Dtype::f64);
  for (int64_t i = 0; i < tokens * pairs; ++i)
    angles.data<double>()[i] = 0.3 * static_cast<double>((i / pairs + 1) * (i % pairs + 1));
  const auto as_qkv = [&](const Tensor& x) { return x.to(qkv.dtype()).to(qkv.device()); };
  Tensor cosines = angles.clone(), sines = angles.clone();
  for (int64_t i = 0; i < angles.numel(); ++i) {
    cosines.data<double>()[i] = std::cos(angles.data<double>()[i]);
    sines.data<double>()[i] = std::sin(angles.data<double>()[i]);
  }
  return packed_attention(qkv, 2, 0.6, {as_qkv(cosines), as_qkv(sines)});
}

// PyTorch: case("packed_attention.rope", [(2, 5, 36)], lambda x: packed(lambda q, k, v, s: attention(rope(q, 1), rope(k, 1), v, s), x, 2, 0.6))
OpCase packed_attention_rope{"packed_attention.rope",
                             {{2, 5, 36}},
                             [](Inputs in) { return turned_packed_attention(in[0]); },
                             {.also = {{{1, 1, 12}}, {{1, 19, 48}}, {{2, 0, 12}}, {{0, 3, 12}}}}};

}  // namespace

// All scores of a row are near 400 or near -400: e^score is infinite or 0 in f32.
TEST_CASE("attention does not change with a constant added to a row's scores") {
  Generator generator(6);
  const Tensor q = Tensor::ones({1, 1, 3, 2}), v = Tensor::normal({1, 1, 5, 2}, 0, 1, generator);
  const Tensor k = Tensor::from<float>({0, 1, 1, -2, 0.5f, 0, 2, 1, -1, 0}, {1, 1, 5, 2});
  const auto attend = [](Inputs in) { return attention(in[0], in[1], in[2], 1.0); };
  const Evaluation plain = evaluate(attend, {q, k, v}, {});
  for (double shift : {200.0, -200.0}) {
    CAPTURE(shift);
    const Evaluation shifted = evaluate(attend, {q, k + shift, v}, {});
    CHECK(relative_error(shifted.output, plain.output) <= 1e-6);
    // dS is formed from P, which is made again from the scores and their log-sum-exp, both near 400.
    CHECK(relative_error(shifted.gradients[1], plain.gradients[1]) <= 1e-3);
    CHECK(relative_error(shifted.gradients[2], plain.gradients[2]) <= 1e-4);
  }
}

// e^score of some keys is many times, or infinitely, larger than that of the keys before them.
TEST_CASE("attention: the key that a query fits best may come late") {
  const auto attend = [](Inputs in) { return attention(in[0], in[1], in[2], 1.0); };
  for (const float best : {20.0F, 30.0F, 300.0F}) {
    CAPTURE(best);
    Generator generator(7);
    std::vector<float> keys(70, 0.0f);
    keys[40] = -200, keys[67] = keys[69] = best;
    const std::vector<Tensor> inputs{Tensor::from<float>({1, -1, 0}, {1, 1, 3, 1}),
                                     Tensor::from<float>(keys, {1, 1, 70, 1}),
                                     Tensor::normal({1, 1, 70, 1}, 0, 1, generator).to(Dtype::bf16)};
    const Evaluation expected = evaluate(attend, converted(inputs, Dtype::f64), {});
    const Tensor v = inputs[2].to(Dtype::f64);
    CHECK(relative_error(expected.output.slice(2, 0, 1), (v.slice(2, 67, 68) + v.slice(2, 69, 70)) * 0.5) <=
          1e-6);
    CHECK(relative_error(expected.output.slice(2, 1, 2), v.slice(2, 40, 41)) <= 1e-12);
    for (const auto& [dtype, most] : {std::pair{Dtype::f32, 1e-5}, std::pair{Dtype::bf16, 1e-2}}) {
      CAPTURE(name_of(dtype));
      const Evaluation got = evaluate(attend, converted(inputs, dtype), {});
      CHECK(relative_error(got.output, expected.output) <= most);
      CHECK(relative_error(got.gradients[2], expected.gradients[2]) <= most);
    }
  }
}

TEST_CASE("attention: a scale that is not positive is an error") {
  const Tensor x = Tensor::ones({1, 1, 2, 3}), packed = Tensor::ones({1, 2, 9});
  for (const double scale : {0.0, -0.5, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_WITH_AS(attention(x, x, x, scale), doctest::Contains("attention: scale"), Error);
    CHECK_THROWS_WITH_AS(packed_attention(packed, 1, scale), doctest::Contains("packed_attention: scale"),
                         Error);
  }
}

#ifdef __x86_64__
TEST_CASE(
    "packed_attention with integers: uses them where floats are slower, and not for more keys than they "
    "suit") {
  if (__builtin_cpu_supports("avx512f")) return skip("AVX-512 multiplies floats as fast");
  Generator generator(10);
  for (const int64_t keys : {int64_t{8192}, int64_t{8193}}) {
    const Variable qkv = Tensor::normal({1, keys, 3}, 0, 1, generator);
    const Tensor floats = packed_attention(qkv, 1, 0.4).value(),
                 integers = packed_attention(qkv, 1, 0.4, {}, true).value();
    CHECK((relative_error(integers, floats) > 0) == (keys == 8192));
  }
}
#endif

// Where floats are as fast, both are the same.
TEST_CASE("packed_attention with integers: near that with floats, and with its gradient") {
  Generator generator(8);
  const auto floats = [](Inputs in) { return packed_attention(in[0], 2, 0.4); };
  const auto integers = [](Inputs in) { return packed_attention(in[0], 2, 0.4, {}, true); };
  for (const Shape& shape : {Shape{2, 5, 18}, Shape{1, 150, 48}, Shape{2, 0, 12}}) {
    const Tensor qkv = Tensor::normal(shape, 0, 1, generator);
    const Evaluation expected = evaluate(floats, {qkv.to(Dtype::f64)}, {});
    CHECK(relative_error(evaluate(integers, {qkv.to(Dtype::f64)}, {}).output, expected.output) == 0);
    for (const auto& [dtype, most] : {std::pair{Dtype::f32, 2e-3}, std::pair{Dtype::bf16, 2e-2}}) {
      CAPTURE(name_of(dtype));
      const Evaluation got = evaluate(integers, converted({qkv}, dtype), {});
      CHECK(relative_error(got.output, expected.output) <= most);
      CHECK(relative_error(got.gradients[0], expected.gradients[0]) <= most);
    }
  }
}

}  // namespace nabla
