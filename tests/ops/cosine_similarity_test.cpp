#include <doctest/doctest.h>

#include "tests/ops/op_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

Variable cosine(Inputs in) { return cosine_similarity(in[0], in[1]); }

OpCase cosine_case{
    "cosine_similarity",
    {{3, 4, 7}, {3, 4, 7}},
    cosine,
    {.also = {{{1, 1}, {1, 1}}, {{1, 3}, {1, 3}}, {{2, 33}, {2, 33}}, {{0, 5}, {0, 5}}, {{8}, {8}}},
     .wrong = {{{{2, 3}, {2, 4}}, "cosine_similarity: shapes (2, 3) and (2, 4) differ"},
               {{{2, 3}, {3}}, "cosine_similarity: shapes (2, 3) and (3) differ"},
               {{Shape{}, Shape{}}, "cosine_similarity: shapes () and ()"}}}};
// Row 0 of a is shorter than eps. Torch differentiates the norm there as if it were not clamped.
OpCase cosine_tiny{"cosine_similarity.tiny", {{2, 3}, {2, 3}}, cosine, {.finite_differences = false}};

}  // namespace

TEST_CASE("rows of zeros have similarity 0 and finite gradients") {
  const Tensor zeros = Tensor::zeros({1, 4}, Dtype::f64), ones = Tensor::ones({1, 4}, Dtype::f64);
  const Evaluation got = evaluate(cosine, {zeros, ones}, {});
  CHECK(got.output.item() == 0);
  for (double gradient : got.gradients[1].to_vector<double>()) CHECK(gradient == 0);
  for (double gradient : got.gradients[0].to_vector<double>()) CHECK(gradient == doctest::Approx(0.5e8));
}

TEST_CASE("rows of any length have the similarity and the gradients that f64 gives") {
  Generator generator(3);
  const Tensor a = Tensor::normal({4, 33}, 0, 1, generator, Dtype::f64);
  const Tensor b = Tensor::normal({4, 33}, 0, 1, generator, Dtype::f64);
  const bool with_cuda = has_cuda("cosine_similarity of long and of short rows on CUDA");
  for (const double size_a : {1e-30, 1e-20, 1.0, 1e20, 1e30}) {
    for (const double size_b : {1e-30, 1.0, 1e30}) {
      INFO("rows of about ", size_a, " and ", size_b);
      const std::vector<Tensor> rows{(a * size_a).to(Dtype::f32), (b * size_b).to(Dtype::f32)};
      const Evaluation expected = evaluate(cosine, converted(rows, Dtype::f64), {});
      for (const Device device : {Device::cpu(), Device::cuda()}) {
        if (device == Device::cuda() && !with_cuda) continue;
        const Evaluation got = evaluate(cosine, converted(rows, Dtype::f32, device), {});
        // Below its normal numbers f32 has few digits.
        if (largest_in(expected.output) > 1e-36) CHECK(relative_error(got.output, expected.output) <= 1e-6);
        for (size_t i = 0; i < 2; ++i) {
          INFO("gradient of input ", i);
          const double largest = largest_in(expected.gradients[i]);
          if (largest > 1e-36 && largest < 1e38) {
            CHECK(relative_error(got.gradients[i], expected.gradients[i]) <= 1e-5);
          }
        }
      }
    }
  }
}

// The loss has a row for each image of a batch, and several blocks of a GPU share it (in pieces of 8192).
TEST_CASE("cosine similarity on CUDA of rows of one piece and of several is the CPU's") {
  if (!has_cuda("cosine similarity of long rows")) return;
  Generator generator(9);
  for (const int64_t n : {1, 8191, 8192, 8193, 20001}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      INFO("rows of ", n, " in ", name_of(dtype));
      const std::vector<Tensor> rows{Tensor::normal({3, n}, 0, 1, generator, Dtype::f32).to(dtype),
                                     Tensor::normal({3, n}, 0.5, 1, generator, Dtype::f32).to(dtype)};
      const Evaluation expected = evaluate(cosine, rows, {});
      const Evaluation got = evaluate(cosine, converted(rows, dtype, Device::cuda()), {});
      const double tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-2;
      CHECK(relative_error(got.output, expected.output) <= tolerance);
      for (size_t i = 0; i < 2; ++i) {
        if (n == 1)  // 0 but for rounding, which is each device's own
          CHECK(largest_in(got.gradients[i]) <= 10 * tolerance);
        else
          CHECK(relative_error(got.gradients[i], expected.gradients[i]) <= 10 * tolerance);
      }
    }
  }
}

}  // namespace nabla
