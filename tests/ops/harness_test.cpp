// The checks of op_checks.h find the faults that they are there for: each is given ops that are wrong in one way.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/ops.h"
#include "tests/ops/op_checks.h"

namespace nabla {

namespace {

using Backward = std::function<Tensor(const Tensor& dy)>;

// 3 x, or what the two functions make of it.
Variable tripled(const Variable& x, const Tensor& y, const Backward& backward) {
  return record("tripled", y, {x}, [backward](const Tensor& dy) -> Gradients { return backward(dy); });
}
Variable triple(const Variable& x) {
  return tripled(x, x.value() * 3.0, [](const Tensor& dy) { return dy * 3.0; });
}

// A case of no name in the file, so without PyTorch's numbers.
OpCase case_of(OpFunction function, OpOptions options = {.also = {{{33}}, {Shape{}}, {{0, 3}}}}) {
  return OpCase::unregistered("tripled", {{3, 7}}, std::move(function), std::move(options));
}

Complaints all_complaints(const OpCase& test) {
  Complaints all;
  const auto add = [&](const Complaints& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(check_further_shapes(test, Dtype::f32, Device::cpu(), 1e-5));
  add(check_further_shapes(test, Dtype::bf16, Device::cpu(), 2e-2));
  add(check_strided(test, Dtype::f64, Device::cpu(), 1e-12));
  add(check_expanded(test));
  add(check_differences(test));
  add(check_large_values(test, Device::cpu()));
  add(check_expanded_cotangent(test));
  add(check_used_twice(test));
  add(check_wanted_alone(test));
  add(check_recorded(test));
  add(check_mixed_dtypes(test));
  add(check_wrong_shapes(test));
  return all;
}

// The same without strides, as if the view began where its storage does and had no gaps.
Tensor misread(const Tensor& x) { return x.is_contiguous() ? x : Tensor::full(x.shape(), 1.0, x.dtype()); }

Variable softplus_by(const Variable& x, const std::function<double(double)>& value) {
  const auto each = [](const Tensor& from, const std::function<double(double)>& function) {
    std::vector<double> values = from.to_vector<double>();
    for (double& one : values) one = function(one);
    return Tensor::from(values, from.shape()).to(from.dtype());
  };
  const Tensor slope = each(x.value(), [](double at) { return 1 / (1 + std::exp(-at)); });
  return record("tripled", each(x.value(), value), {x},
                [slope](const Tensor& dy) -> Gradients { return dy * slope; });
}

}  // namespace

TEST_CASE("an op of a reader's own passes every check without PyTorch's numbers") {
  const OpCase test = case_of([](Inputs in) { return triple(in[0]); });
  CHECK_FALSE(has_reference(test));
  CHECK(case_inputs(test).size() == 1);
  CHECK(check_against_reference(test, Dtype::f64, Device::cpu(), 1e-10).empty());
  CHECK(all_complaints(test) == Complaints{});
}

TEST_CASE("values and gradients that are not PyTorch's are found") {
  const auto as_exp = [](OpFunction function) {
    return check_against_reference(OpCase::unregistered("exp", {{3, 7}}, std::move(function)), Dtype::f64,
                                   Device::cpu(), 1e-10);
  };
  CHECK(as_exp([](Inputs in) { return exp(in[0]); }).empty());
  CHECK(as_exp([](Inputs in) { return exp(in[0] * 1.000001); }).size() == 2);
  CHECK(as_exp([](Inputs in) {
          return record("exp", exp(in[0]).value(), {in[0]}, [](const Tensor& dy) -> Gradients { return dy; });
        }).size() == 1);
}

TEST_CASE("a wrong gradient is found by differences, in the case's shapes and in the further ones") {
  for (const int64_t wrong : {21, 33, 1}) {  // elements of the only shape in which it is wrong
    const auto damaged = [wrong](Inputs in) {
      const auto backward = [wrong](const Tensor& dy) { return dy * (dy.numel() == wrong ? 3.001 : 3.0); };
      return tripled(in[0], in[0].value() * 3.0, backward);
    };
    CHECK(check_differences(case_of(damaged)).size() == 1);
    CHECK(check_differences(case_of(damaged, {.also = {{{33}}, {Shape{}}}, .finite_differences = false}))
              .empty());
  }
}

TEST_CASE("an op that takes every view for contiguous is found, in each of its shapes") {
  for (const int64_t wrong : {21, 33}) {
    const auto misreads = [wrong](Inputs in) {
      const Tensor x = in[0].value();
      return tripled(in[0], (x.numel() == wrong ? misread(x) : x) * 3.0,
                     [](const Tensor& dy) { return dy * 3.0; });
    };
    CHECK(check_strided(case_of(misreads), Dtype::f64, Device::cpu(), 1e-12).size() == 1);
    const auto misreads_gradient = [wrong](Inputs in) {
      return tripled(in[0], in[0].value() * 3.0,
                     [wrong](const Tensor& dy) { return (dy.numel() == wrong ? misread(dy) : dy) * 3.0; });
    };
    CHECK(check_strided(case_of(misreads_gradient), Dtype::f64, Device::cpu(), 1e-12).size() == 1);
  }
}

TEST_CASE("f32 that is less exact than it should be is found in further shapes") {
  const auto rough = [](Inputs in) {
    const double factor = in[0].dtype() == Dtype::f64 ? 3.0 : 3.001;
    return tripled(in[0], in[0].value() * factor, [factor](const Tensor& dy) { return dy * factor; });
  };
  // The case's own shape as well, as it has no numbers of PyTorch's; nothing is wrong with an empty one.
  CHECK(check_further_shapes(case_of(rough), Dtype::f32, Device::cpu(), 1e-5).size() == 6);
}

TEST_CASE("a formula that overflows is found by large values") {
  const auto right = [](Inputs in) {
    return softplus_by(in[0], [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); });
  };
  const auto naive = [](Inputs in) {
    return softplus_by(in[0], [](double x) { return std::log1p(std::exp(x)); });
  };
  CHECK(check_large_values(case_of(right), Device::cpu()) == Complaints{});
  CHECK_FALSE(check_large_values(case_of(naive), Device::cpu()).empty());
  // In f32 alone: e^100 is too large for it.
  const auto narrow = [&](Inputs in) {
    if (in[0].dtype() == Dtype::f64) return right(in);
    return softplus_by(
        in[0], [](double x) { return std::log1p(static_cast<double>(std::exp(static_cast<float>(x)))); });
  };
  CHECK_FALSE(check_large_values(case_of(narrow), Device::cpu()).empty());
  // A gradient alone.
  const auto steep = [](Inputs in) {
    const Tensor x = in[0].value();
    return record("tripled", x * 3.0, {in[0]}, [x](const Tensor& dy) -> Gradients {
      const Tensor grown = exp(Variable(x)).value();
      return dy * 3.0 * grown / grown;
    });
  };
  CHECK_FALSE(check_large_values(case_of(steep), Device::cpu()).empty());
  // Where the domain is positive, no negative numbers are tried; where the op overflows by nature, it may say so.
  const OpOptions positive{.low = 0.25, .high = 4};
  CHECK(check_large_values(case_of([](Inputs in) { return log(in[0]); }, positive), Device::cpu()).empty());
  const auto exponential = [](Inputs in) { return exp(in[0]); };
  CHECK_FALSE(check_large_values(case_of(exponential), Device::cpu()).empty());
  CHECK(check_large_values(case_of(exponential, {.largest = 700}), Device::cpu()) == Complaints{});
}

TEST_CASE("what is wrong with a use of an op is found by the check of that use") {
  // Reads the first row for all.
  const auto expanded_wrong = [](Inputs in) {
    const Tensor& x = in[0].value();
    const bool repeated = x.rank() == 2 && x.strides()[0] == 0;
    return tripled(in[0], x * (repeated ? 2.0 : 3.0), [](const Tensor& dy) { return dy * 3.0; });
  };
  CHECK(check_expanded(case_of(expanded_wrong)).size() == 1);
  const auto scalar_cotangent_wrong = [](Inputs in) {
    return tripled(in[0], in[0].value() * 3.0,
                   [](const Tensor& dy) { return dy * (dy.strides()[0] == 0 ? 2.0 : 3.0); });
  };
  CHECK(check_expanded_cotangent(case_of(scalar_cotangent_wrong)).size() == 1);
  int calls = 0;
  const auto second_time_wrong = [&calls](Inputs in) {
    const double slope = ++calls % 3 == 2 ? 4.0 : 3.0;  // of two calls in one graph, one
    return tripled(in[0], in[0].value() * 3.0, [slope](const Tensor& dy) { return dy * slope; });
  };
  CHECK(check_used_twice(case_of(second_time_wrong)).size() == 1);
  const auto unrecorded = [](Inputs in) { return Variable(in[0].value() * 3.0); };
  CHECK_FALSE(check_recorded(case_of(unrecorded)).empty());
  const auto misnamed = [](Inputs in) {
    return record("doubled", in[0].value() * 3.0, {in[0]},
                  [](const Tensor& dy) -> Gradients { return dy * 3.0; });
  };
  CHECK(check_recorded(case_of(misnamed)).size() == 1);
}

TEST_CASE("an op of two inputs: gradients wanted alone, mixed dtypes and wrong shapes are looked at") {
  const auto two = [](OpFunction function) {
    return OpCase::unregistered("added", {{3, 7}, {3, 7}}, std::move(function),
                                {.wrong = {{{{2, 3}, {2, 4}}, "add: shapes (2, 3) and (2, 4)"}}});
  };
  const OpCase right = two([](Inputs in) { return in[0] + in[1]; });
  int tried = 0;
  CHECK(check_wanted_alone(right).empty());
  CHECK(check_mixed_dtypes(right).empty());
  CHECK(check_wrong_shapes(right).empty());
  CHECK(check_same_variable(right, tried).empty());
  CHECK(tried == 1);
  // Without the other's, the second gradient is doubled.
  const OpCase alone_wrong = two([](Inputs in) {
    const double slope = in[0].requires_grad() ? 1.0 : 2.0;
    return record("added", in[0].value() + in[1].value(), {in[0], in[1]},
                  [slope](const Tensor& dy) -> Gradients {
                    return {dy, dy * slope};
                  });
  });
  CHECK(check_wanted_alone(alone_wrong).size() == 1);
  const OpCase careless = two([](Inputs in) {
    return record("added", in[0].value() * 2.0, {in[0], in[1]}, [](const Tensor& dy) -> Gradients {
      return {dy * 2.0, dy * 2.0};
    });
  });
  CHECK(check_mixed_dtypes(careless).size() == 1);
  CHECK(check_wrong_shapes(careless).size() == 1);
  CHECK(check_same_variable(careless, tried).size() == 1);
}

TEST_CASE("relative_error is the largest difference in units of the largest expected value") {
  const auto tensor = [](std::vector<double> values) {
    const auto count = static_cast<int64_t>(values.size());
    return Tensor::from(values, {count});
  };
  CHECK(relative_error(tensor({1, 2, 4}), tensor({1, 2, 4})) == 0);
  for (size_t i = 0; i < 3; ++i) {
    std::vector<double> values{1, 2, 4};
    values[i] += 0.5;
    CHECK(relative_error(tensor(values), tensor({1, 2, 4})) == 0.125);
    values[i] -= 1;
    CHECK(relative_error(tensor(values), tensor({1, 2, -4})) >= 0.125);
  }
  CHECK(relative_error(tensor({2e-20}), tensor({1e-20})) == 1);
  CHECK(relative_error(tensor({0, 3e-5}), tensor({0, 0})) == 3e-5);
  constexpr double infinite = std::numeric_limits<double>::infinity();
  CHECK(relative_error(tensor({1, NAN}), tensor({1, 2})) == infinite);
  CHECK(relative_error(tensor({1, 2}), tensor({NAN, 2})) == infinite);
  CHECK(relative_error(tensor({1, 2}), tensor({1, 2, 3})) == infinite);
  CHECK(relative_error(tensor({1, infinite}), tensor({1, 2})) == infinite);
  CHECK(relative_error(tensor({1, 2}).reshape({2, 1}), tensor({1, 2})) == infinite);
  CHECK(relative_error(Tensor(), tensor({1})) == infinite);
}

TEST_CASE("strided_copy has the same elements, with gaps of NaN between them") {
  Generator generator(9);
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{3, 4}, Shape{2, 3, 4}, Shape{1, 1}, Shape{0, 3}}) {
    INFO(shape.to_string());
    const Tensor x = Tensor::normal(shape, 0, 1, generator, Dtype::f64), copy = strided_copy(x);
    CHECK(copy.shape() == x.shape());
    CHECK(copy.to_vector<double>() == x.to_vector<double>());
    CHECK(copy.storage() != x.storage());
    CHECK(copy.storage()->bytes() > x.bytes());
    if (x.numel() == 0) continue;
    // What lies before and after the first element in memory.
    CHECK(std::isnan(copy.data<double>()[-1]));
    CHECK(std::isnan(copy.data<double>()[1]));
    if (x.numel() > 1) CHECK_FALSE(copy.is_contiguous());
  }
}

TEST_CASE("evaluate goes backward from the cotangent it is given, for the inputs that are wanted") {
  const Tensor x = Tensor::from<double>({1, 2}, {2}), dy = Tensor::from<double>({5, -1}, {2});
  const auto squares = [](Inputs in) { return in[0] * in[0] + in[1]; };
  const Evaluation got = evaluate(squares, {x, x.clone()}, dy);
  CHECK(got.output.to_vector<double>() == std::vector<double>{2, 6});
  CHECK(got.gradients.at(0).to_vector<double>() == std::vector<double>{10, -4});
  CHECK(got.gradients.at(1).to_vector<double>() == std::vector<double>{5, -1});
  CHECK(evaluate(squares, {x, x.clone()}, {}).gradients.at(1).to_vector<double>() ==
        std::vector<double>{1, 1});
  const Evaluation second = evaluate(squares, {x, x.clone()}, dy, {false, true});
  CHECK_FALSE(second.gradients.at(0).defined());
  CHECK(second.gradients.at(1).defined());
}

TEST_CASE("random inputs keep to the case's range") {
  Generator generator(10);
  const OpOptions options{.low = 3, .high = 4};
  const Tensor x = random_inputs({{1000}}, options, generator)[0];
  for (const double value : x.to_vector<double>()) CHECK((value >= 3 && value <= 4));
  CHECK(relative_error(x, Tensor::full({1000}, x.to_vector<double>()[0], Dtype::f64)) > 0.1);
}

}  // namespace nabla
