// What every OpCase is put through.
#include "tests/ops/op_case.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tests/support.h"

namespace nabla {

namespace {

constexpr double exact = 1e-12;  // f64, the same formula in another order of summation

// The case on PyTorch's inputs in `dtype`, against PyTorch's f64 output and gradients.
void check_against_reference(const OpCase& test, Dtype dtype, Device device, double tolerance) {
  INFO(test.name, " in ", std::string(name_of(dtype)), " on ", device.to_string());
  const Tensor cotangent = reference(test.name + "/cotangent").to(dtype).to(device);
  const Evaluation got = evaluate(test.function, converted(reference_inputs(test), dtype, device), cotangent);
  CHECK(got.output.dtype() == dtype);
  CHECK(relative_error(got.output, reference(test.name + "/out")) <= tolerance);
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    INFO("gradient of input ", i);
    REQUIRE(got.gradients[i].defined());
    CHECK(got.gradients[i].dtype() == dtype);
    CHECK(relative_error(got.gradients[i], reference(fmt::format("{}/grad.{}", test.name, i))) <= tolerance);
  }
}

void check_equal(const Evaluation& got, const Evaluation& expected, double scale = 1,
                 double tolerance = exact) {
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    INFO("gradient of input ", i);
    REQUIRE(got.gradients[i].defined());
    CHECK(relative_error(got.gradients[i], expected.gradients[i] * scale) <= tolerance);
  }
}

// The case's further shapes in `dtype`, against f64 on the CPU.
void check_further_shapes(const OpCase& test, Dtype dtype, Device device, double tolerance,
                          Generator& generator) {
  for (const Shapes& shapes : test.options.also) {
    // Rounded first: both sides see the same inputs.
    const std::vector<Tensor> inputs =
        converted(random_inputs(shapes, test.options, generator), dtype, device);
    const Evaluation narrow = evaluate(test.function, inputs, {});
    const Evaluation wide = evaluate(test.function, converted(inputs, Dtype::f64, Device::cpu()), {});
    INFO(test.name, " in ", std::string(name_of(dtype)));
    CHECK(relative_error(narrow.output, wide.output) <= tolerance);
    for (size_t i = 0; i < inputs.size(); ++i) {
      INFO("gradient of input ", i, " of ", inputs[i].shape().to_string());
      // A gradient may cancel to next to nothing (softmax of one element): then the error counts as absolute.
      const Tensor zeros = Tensor::zeros(shapes[i], Dtype::f64);
      const Tensor difference = narrow.gradients[i].to(Device::cpu()).to(Dtype::f64) - wide.gradients[i];
      const double largest = relative_error(wide.gradients[i], zeros);
      CHECK(relative_error(difference, zeros) <= 2 * tolerance * std::max(1.0, largest));
    }
  }
}

// The case on views that are not contiguous, against the same on contiguous tensors.
void check_strided(const OpCase& test, Dtype dtype, Device device, double tolerance) {
  std::vector<Tensor> inputs = converted(reference_inputs(test), dtype, device);
  const Tensor cotangent = reference(test.name + "/cotangent").to(dtype).to(device);
  const Evaluation expected = evaluate(test.function, inputs, cotangent);
  for (Tensor& input : inputs) input = strided_copy(input);
  const Evaluation got = evaluate(test.function, inputs, strided_copy(cotangent));
  CHECK(relative_error(got.output, expected.output) <= tolerance);
  check_equal(got, expected, 1, tolerance);
}

void check_differences(const OpFunction& function, const std::vector<Tensor>& inputs, Generator& generator) {
  std::string shapes;
  for (const Tensor& input : inputs) shapes += input.shape().to_string();
  INFO("inputs ", shapes);
  try {
    CHECK(gradcheck(function, inputs, generator) <= 1e-6);
  } catch (const Error& error) {
    FAIL_CHECK(error.what());
  }
}

template <class Body>
void for_each_case(const Body& body) {
  for (const OpCase& test : OpCase::all()) {
    INFO(test.name);
    try {
      body(test);
    } catch (const std::exception& error) {
      FAIL_CHECK(std::string(error.what()));
    }
  }
}

}  // namespace

TEST_CASE("values and gradients are PyTorch's, in f64, f32 and bf16") {
  for_each_case([](const OpCase& test) {
    check_against_reference(test, Dtype::f64, Device::cpu(), 1e-10);
    check_against_reference(test, Dtype::f32, Device::cpu(), test.options.f32);
    check_against_reference(test, Dtype::bf16, Device::cpu(), test.options.bf16);
  });
}

TEST_CASE("values and gradients on CUDA are PyTorch's, in f32 and bf16") {
  if (!has_cuda("values and gradients of the ops")) return;
  Generator generator(4);
  for_each_case([&](const OpCase& test) {
    check_against_reference(test, Dtype::f32, Device::cuda(), test.options.f32);
    check_against_reference(test, Dtype::bf16, Device::cuda(), test.options.bf16);
    check_further_shapes(test, Dtype::f32, Device::cuda(), test.options.f32, generator);
    check_further_shapes(test, Dtype::bf16, Device::cuda(), test.options.bf16, generator);
    check_strided(test, Dtype::f32, Device::cuda(), test.options.f32);
  });
}

TEST_CASE("gradients are the limits of finite differences") {
  Generator generator(1);
  for_each_case([&](const OpCase& test) {
    if (!test.options.finite_differences) return;
    check_differences(test.function, reference_inputs(test), generator);
    for (const Shapes& shapes : test.options.also) {
      check_differences(test.function, random_inputs(shapes, test.options, generator), generator);
    }
  });
}

TEST_CASE("further shapes in f32 and bf16 agree with f64") {
  Generator generator(2);
  for_each_case([&](const OpCase& test) {
    check_further_shapes(test, Dtype::f32, Device::cpu(), test.options.f32, generator);
    check_further_shapes(test, Dtype::bf16, Device::cpu(), test.options.bf16, generator);
  });
}

TEST_CASE("strided inputs and cotangents give what contiguous ones give") {
  for_each_case([](const OpCase& test) {
    check_strided(test, Dtype::f64, Device::cpu(), exact);
    check_strided(test, Dtype::f32, Device::cpu(), 1e-6);
  });
}

TEST_CASE("expanded inputs, which read one element many times, give what their copies give") {
  for_each_case([](const OpCase& test) {
    std::vector<Tensor> expanded, copies;
    for (const Tensor& input : reference_inputs(test)) {
      const bool has_rows = input.rank() > 0 && input.size(0) > 1;
      expanded.push_back(has_rows ? input.slice(0, 0, 1).expand(input.shape()) : input);
      copies.push_back(expanded.back().clone());
    }
    const Tensor cotangent = reference(test.name + "/cotangent");
    const Evaluation got = evaluate(test.function, expanded, cotangent);
    const Evaluation expected = evaluate(test.function, copies, cotangent);
    CHECK(relative_error(got.output, expected.output) <= exact);
    check_equal(got, expected);
  });
}

TEST_CASE("a cotangent without memory of its own (an expanded scalar) gives what ones give") {
  for_each_case([](const OpCase& test) {
    const std::vector<Tensor> inputs = reference_inputs(test);
    const auto summed = [&](Inputs in) { return sum(test.function(in)); };
    check_equal(evaluate(summed, inputs, {}), evaluate(test.function, inputs, {}));
  });
}

TEST_CASE("inputs used twice receive both contributions") {
  for_each_case([](const OpCase& test) {
    const std::vector<Tensor> inputs = reference_inputs(test);
    const Tensor cotangent = reference(test.name + "/cotangent");
    const auto twice = [&](Inputs in) { return test.function(in) + test.function(in); };
    check_equal(evaluate(twice, inputs, cotangent), evaluate(test.function, inputs, cotangent), 2);
  });
}

TEST_CASE("one variable as several inputs of an op receives the sum") {
  Generator generator(3);
  int tried = 0;
  for_each_case([&](const OpCase& test) {
    const Shapes& shapes = test.shapes;
    if (shapes.size() < 2 || !test.options.finite_differences) return;
    if (!std::all_of(shapes.begin(), shapes.end(), [&](const Shape& shape) { return shape == shapes[0]; }))
      return;
    const auto same = [&](Inputs in) { return test.function(std::vector<Variable>(shapes.size(), in[0])); };
    check_differences(same, random_inputs({shapes[0]}, test.options, generator), generator);
    ++tried;
  });
  CHECK(tried >= 5);
}

TEST_CASE("each gradient is right when it is the only one wanted") {
  for_each_case([](const OpCase& test) {
    const std::vector<Tensor> inputs = reference_inputs(test);
    const Tensor cotangent = reference(test.name + "/cotangent");
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::vector<bool> needed(inputs.size(), false);
      needed[i] = true;
      const Evaluation got = evaluate(test.function, inputs, cotangent, needed);
      for (size_t j = 0; j < inputs.size(); ++j) CHECK(got.gradients[j].defined() == (j == i));
      CHECK(relative_error(got.gradients[i], reference(fmt::format("{}/grad.{}", test.name, i))) <= 1e-10);
    }
  });
}

TEST_CASE("an op is recorded under its name, and not at all under no_grad or for constants") {
  for_each_case([](const OpCase& test) {
    std::vector<Variable> leaves, constants;
    for (const Tensor& input : reference_inputs(test)) {
      leaves.emplace_back(input, true);
      constants.emplace_back(input);
    }
    const int64_t before = tape_size();
    {
      const Variable output = test.function(leaves);
      CHECK(output.requires_grad());
      REQUIRE(output.state()->node);
      CHECK(output.state()->node->name == test.op());
    }
    CHECK(tape_size() == before);  // what is no longer held leaves the tape
    const Tensor expected = reference(test.name + "/out");
    const Variable unrecorded = no_grad([&] { return test.function(leaves); });
    const Variable constant = test.function(constants);
    CHECK(tape_size() == before);
    CHECK_FALSE(unrecorded.requires_grad());
    CHECK_FALSE(constant.requires_grad());
    CHECK(relative_error(unrecorded.value(), expected) <= 1e-10);
    CHECK(relative_error(constant.value(), expected) <= 1e-10);
  });
}

TEST_CASE("operands of two dtypes are refused, whichever op meets them") {
  for_each_case([](const OpCase& test) {
    if (test.shapes.size() < 2) return;
    std::vector<Variable> inputs;
    for (const Tensor& input : reference_inputs(test)) inputs.emplace_back(input);
    inputs.back() = Variable(inputs.back().value().to(Dtype::f32));
    std::string message = "no error";
    try {
      test.function(inputs);
    } catch (const Error& error) {
      message = error.what();
    }
    INFO("got: ", message);
    CHECK(message.find(": operand") != std::string::npos);
    CHECK(message.find("f64") != std::string::npos);
    CHECK(message.find("f32") != std::string::npos);
  });
}

TEST_CASE("wrong shapes are named in the error") {
  for_each_case([](const OpCase& test) {
    for (const WrongCall& call : test.options.wrong) {
      std::vector<Variable> inputs;
      for (const Shape& shape : call.shapes) inputs.emplace_back(Tensor::zeros(shape));
      INFO("expected: ", call.message);
      std::string message = "no error";
      try {
        test.function(inputs);
      } catch (const Error& error) {
        message = error.what();
      }
      INFO("got: ", message);
      CHECK(message.find(call.message) != std::string::npos);
    }
  });
}

}  // namespace nabla
