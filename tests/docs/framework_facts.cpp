#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <regex>

#include "autograd/ops/ops.h"
#include "autograd/tape.h"
#include "backends/cpu/amx.h"
#include "backends/cpu/output_line.h"
#include "backends/cpu/register_product.h"
#include "tensor/ops.h"
#include "tests/docs/facts.h"
#include "tests/docs/source_numbers.h"
#include "tests/ops/op_case.h"

namespace book {

using namespace nabla;

namespace {

// How many binary digits a number of `dtype` has: 1 + 2^-digits is rounded to 1.
int digits_of(Dtype dtype) {
  int digits = 1;
  while ((Tensor::full({}, 1, dtype) + Tensor::full({}, std::exp2(-digits), dtype)).item() > 1) ++digits;
  return digits;
}

// The first power of 2 to which adding 1 changes nothing.
double largest_counter(Dtype dtype) {
  double sum = 1;
  while ((Tensor::full({}, sum, dtype) + Tensor::full({}, 1, dtype)).item() > sum) sum *= 2;
  return sum;
}

void strides(std::vector<Fact>& facts) {
  const Tensor x = Tensor::arange(6).reshape({2, 3}), turned = x.transpose(0, 1);
  const Tensor sum = Tensor::zeros({2, 1}) + Tensor::zeros({1, 3});
  facts.push_back({"01_tensors",
                   fmt::format("stored in a row and read with shape {} and strides ({}, {}), are the matrix",
                               x.shape(), x.strides()[0], x.strides()[1])});
  facts.push_back({"01_tensors", fmt::format("with shape {} and strides ({}, {}), and you get the transpose",
                                             turned.shape(), turned.strides()[0], turned.strides()[1])});
  facts.push_back({"01_tensors", "To add shapes (2, 1) and (1, 3), align them"});
  facts.push_back({"01_tensors", fmt::format("The result is {}, and", sum.shape())});
  facts.push_back({"01_tensors", fmt::format("but {} bits of precision instead of {}", digits_of(Dtype::bf16),
                                             digits_of(Dtype::f32))});
  facts.push_back({"01_tensors", fmt::format("once a bf16 sum has reached {}, adding 1 no longer changes it",
                                             largest_counter(Dtype::bf16))});
}

void threads(std::vector<Fact>& facts) {
  facts.push_back({"02_backend", fmt::format("computes every op with 1 to {}.",
                                             number_after("tests/ops/threads_test.cpp", "threads <= "))});
}

// The table of chapter 3, by the tape.
void tape(std::vector<Fact>& facts) {
  const Variable a{Tensor::full({}, 2), true}, b{Tensor::full({}, 0), true};
  const Variable e = exp(b), p = a * e, y = p + a;
  e.retain_grad();
  p.retain_grad();
  facts.push_back({"03_tape", fmt::format("| 1 | $e = \\exp(b)$ | {} |", e.item())});
  facts.push_back({"03_tape", fmt::format("| 2 | $p = a \\cdot e$ | {} |", p.item())});
  facts.push_back({"03_tape", fmt::format("| 3 | $y = p + a$ | {} |", y.item())});
  y.backward();
  facts.push_back({"03_tape", fmt::format("step 3 gives $dp = {}$ and $da = 1$", p.grad().item())});
  facts.push_back({"03_tape", fmt::format("which is now {}, and gives $de = {}$; step 1 gives $db = {}$",
                                          a.grad().item(), e.grad().item(), b.grad().item())});
}

void int8(std::vector<Fact>& facts) {
  const Tensor x = Tensor::from<float>({0.5f, -1, 0.25f}, {1, 3}),
               w = Tensor::from<float>({0.2f, 0.1f, -0.4f}, {1, 3});
  const auto q = quantize_rows(x).first.to_vector<int64_t>(),
             of_w = quantize_rows(w).first.to_vector<int64_t>();
  int64_t sum = 0;
  for (size_t i = 0; i < q.size(); ++i) sum += q[i] * of_w[i];
  const double y = quantized_linear(Variable(x), quantize_weight(w)).value().item();
  facts.push_back({"17_int8", "With x = (0.5, -1, 0.25) and a weight's row W = (0.2, 0.1, -0.4):"});
  facts.push_back(
      {"17_int8", fmt::format("The integers add up to {}, and y is {:.5f}; exact is -0.1.", sum, y)});
  facts.push_back(
      {"17_int8", fmt::format("rounded, from {} to {}. On a number line, the integers are 255 marks",
                              -quantize_rows(Tensor::ones({1, 1})).first.item(),
                              quantize_rows(Tensor::ones({1, 1})).first.item())});
  facts.push_back(
      {"17_int8", fmt::format("is taken from {} of the training images",
                              number_after("dinomaly/training/quantize_trained.cpp", "most = "))});
}

void buckets(std::vector<Fact>& facts) {
  const int64_t mega =
      number_after("dinomaly/training/gradient_exchange.h", "int64_t bucket_bytes = int64_t{");
  facts.push_back(
      {"18_several_processes",
       fmt::format("gradients are collected until they are {} MB, and then sent together", mega)});
}

void attention(std::vector<Fact>& facts) {
  const int64_t tokens = 28 * 28 + 1, heads = 6, batch = 16;
  facts.push_back(
      {"06_attention",
       fmt::format("392 x 392 pixels in patches of 14 is {} tokens and a CLS token; with {} heads and a "
                   "batch of {}, P alone is ${}^2 \\cdot {} \\cdot {} \\cdot 4$ bytes, {:.0f} MB",
                   392 / 14 * (392 / 14), heads, batch, tokens, heads, batch,
                   static_cast<double>(tokens * tokens * heads * batch * 4) / 1e6)});
  facts.push_back(
      {"06_attention", fmt::format("queries and 800 keys take {} KB",
                                   register_rows * 800 * static_cast<int64_t>(sizeof(float)) / 1000)});
  facts.push_back({"07_linear_attention", "a twelfth with N = 785 and d = 64"});
  if (tokens / 64 != 12) facts.push_back({"07_linear_attention", "(785 / 64 is not 12)"});
  facts.push_back({"07_linear_attention",
                   fmt::format("larger by 5 weighs $e^5 \\approx {:.0f}$ times", std::exp(5.0) / 10 * 10)});
  // Of AVX-512, whatever this is compiled for.
  const char* const header = "backends/cpu/register_product.h";
  const std::string avx512 =
      "#if defined(__AVX512F__)\ninline constexpr bool has_multiply_add = true;\n"
      "inline constexpr int64_t register_bytes = ";
  const auto bytes = static_cast<int64_t>(number_after(header, avx512)),
             vectors = static_cast<int64_t>(
                 number_after(header, fmt::format("{}{}, register_vectors = ", avx512, bytes))),
             columns = vectors * bytes / static_cast<int64_t>(sizeof(float));
  facts.push_back(
      {"13_speed",
       fmt::format(
           "Take {} rows of $a$ and {} columns of $b$. Their {} vectors of sums fit into the 32 registers",
           register_rows, columns, register_rows * vectors)});
  facts.push_back(
      {"13_speed", fmt::format("loads {} vectors of $b$ and {} numbers of $a$ and does {} multiply-adds",
                               vectors, register_rows, register_rows * vectors)});
  facts.push_back(
      {"13_speed",
       fmt::format("two tiles of {} KB, {} rows of {} bytes each, and adds to {} sums", amx_tile_bytes / 1024,
                   amx_tile_rows, amx_row_bytes, amx_tile_rows * amx_tile_rows)});
  facts.push_back({"13_speed", fmt::format("{} rows of $a$ stay in the first-level cache", amx_rows)});
  facts.push_back({"13_speed", fmt::format("about caches: {} columns of $b$ stay", output_columns)});
}

void testing(std::vector<Fact>& facts) {
  const OpOptions usual;
  const double exact =
      number_after("tests/ops/op_case_test.cpp", "check_against_reference(test, Dtype::f64, Device::cpu(), ");
  facts.push_back({"14_testing", fmt::format("are {} in f64, and by default {} in f32 and {} in bf16",
                                             power(exact), power(usual.f32), power(usual.bf16))});
  // In the order of the source: outputs, gradients, the first step, later ones, weights.
  const auto allowed = all_arguments("tests/reference_check/model_bundle.cpp", "verdict.by_dtype");
  const char* rows[] = {"features, maps, scores", "the first step's gradients",
                        "the first step's loss and gradient norm", "later steps' losses and gradient norms",
                        "trained weights, relative to how far they moved"};
  for (size_t i = 0; i < std::size(rows); ++i) {
    std::string row = fmt::format("| {} |", rows[i]);
    for (const double tolerance : allowed.at(i))
      row += tolerance < 0 ? " not compared |" : " " + power(tolerance) + " |";
    facts.push_back({"14_testing", row});
  }
}

void gradcheck(std::vector<Fact>& facts) {
  const double h = number_after("autograd/gradcheck.cpp", "constexpr double step = ");
  facts.push_back(
      {"05_gradient_checking", fmt::format("with $h = {}$", power(h).substr(1, power(h).size() - 2))});
  facts.push_back(
      {"05_gradient_checking",
       fmt::format("agreement to {}", power(number_after("autograd/gradcheck.h", "double tolerance = ")))});
  // The page's epsilon is the rounding error, half the distance of two numbers.
  const double forgiven = 2 * number_after("autograd/gradcheck.cpp", "constexpr double forgiven = ");
  facts.push_back(
      {"05_gradient_checking", fmt::format("\\approx {}\\, \\varepsilon \\sum_j |c_j y_j| / h$", forgiven)});
  const double unseen = forgiven * std::numeric_limits<double>::epsilon() / 2 / h;
  facts.push_back({"05_gradient_checking", fmt::format("changes by less than {} per unit of x",
                                                       power(std::pow(10, std::ceil(std::log10(unseen)))))});
}

void cuda(std::vector<Fact>& facts) {
  facts.push_back({"15_cuda", fmt::format("cuts rows into pieces of {}.",
                                          number_after("backends/cuda/reduce.cu", "inner == 1 ? "))});
  facts.push_back({"15_cuda", fmt::format("exit status {}, and a line",
                                          number_after("dinomaly/base/program.cpp", "if (at_work) _exit("))});
  const std::string text = source("cmake/cuda.cmake");
  std::smatch found;
  if (std::regex_search(text, found, std::regex(R"re("(\d+)-real;(\d+)-real;(\d+)-real;(\d+)")re")))
    facts.push_back({"15_cuda", fmt::format("for architectures {}, {}, {} and {}", found[1].str(),
                                            found[2].str(), found[3].str(), found[4].str())});
}

}  // namespace

std::vector<Fact> facts_of_the_framework() {
  std::vector<Fact> facts;
  for (const auto& add : {strides, threads, tape, attention, int8, testing, gradcheck, cuda, buckets})
    add(facts);
  return facts;
}

}  // namespace book
