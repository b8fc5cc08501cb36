#include "tests/ops/op_checks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tests/support.h"

namespace nabla {

namespace {

constexpr double exact = 1e-12;  // f64, the same formula in another order of summation

// The same numbers for a case whatever other cases there are.
Generator generator_of(const OpCase& test, uint64_t purpose) {
  uint64_t hash = 14695981039346656037u + purpose;
  for (const char letter : test.name) hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211u;
  return Generator(hash);
}

Shape output_shape(const OpCase& test, const std::vector<Tensor>& inputs) {
  const std::vector<Variable> constants(inputs.begin(), inputs.end());
  return no_grad([&] { return test.function(constants); }).shape();
}

Tensor random_cotangent(const OpCase& test, const std::vector<Tensor>& inputs) {
  Generator generator = generator_of(test, 1);
  return Tensor::normal(output_shape(test, inputs), 0, 1, generator, Dtype::f64);
}

std::string shapes_of(const std::vector<Tensor>& inputs) {
  std::string text;
  for (const Tensor& input : inputs) text += " " + input.shape().to_string();
  return text;
}

// Collects complaints about one case.
class Findings {
 public:
  explicit Findings(std::string about) : about_(std::move(about)) {}

  void expect(bool holds, const std::string& what) {
    if (!holds) list_.push_back(about_ + ": " + what);
  }
  void compare(const std::string& what, const Tensor& got, const Tensor& expected, double tolerance) {
    const double error = relative_error(got, expected);
    expect(error <= tolerance, fmt::format("{} is off by {:.3g}, tolerated {:.3g}", what, error, tolerance));
  }
  void compare(const Evaluation& got, const Evaluation& expected, double tolerance,
               double gradient_scale = 1) {
    compare("output", got.output, expected.output, tolerance);
    compare_gradients(got, expected, tolerance, gradient_scale);
  }
  void compare_gradients(const Evaluation& got, const Evaluation& expected, double tolerance,
                         double scale = 1) {
    for (size_t i = 0; i < expected.gradients.size(); ++i) {
      compare(fmt::format("gradient of input {}", i), got.gradients.at(i), expected.gradients[i] * scale,
              tolerance);
    }
  }
  void add(const Complaints& more) { list_.insert(list_.end(), more.begin(), more.end()); }
  Complaints list() const { return list_; }

 private:
  std::string about_;
  Complaints list_;
};

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Complaints differences(const std::string& about, const OpFunction& function,
                       const std::vector<Tensor>& inputs, Generator& generator) {
  try {
    gradcheck(function, inputs, generator);
  } catch (const Error& error) {
    return {about + ", inputs" + shapes_of(inputs) + ": " + error.what()};
  }
  return {};
}

// The case's own inputs first, then random ones of its further shapes.
std::vector<std::vector<Tensor>> all_inputs(const OpCase& test) {
  std::vector<std::vector<Tensor>> result{case_inputs(test)};
  Generator generator = generator_of(test, 2);
  for (const Shapes& shapes : test.options.also) {
    result.push_back(random_inputs(shapes, test.options, generator));
  }
  return result;
}

}  // namespace

std::vector<Tensor> case_inputs(const OpCase& test) {
  if (has_reference(test)) return reference_inputs(test);
  Generator generator = generator_of(test, 3);
  return random_inputs(test.shapes, test.options, generator);
}

Tensor case_cotangent(const OpCase& test) {
  return has_reference(test) ? reference(test.name + "/cotangent")
                             : random_cotangent(test, case_inputs(test));
}

Complaints check_against_reference(const OpCase& test, Dtype dtype, Device device, double tolerance) {
  if (!has_reference(test)) return {};
  Findings findings(fmt::format("{} in {} on {}", test.name, name_of(dtype), device.to_string()));
  const Tensor cotangent = reference(test.name + "/cotangent").to(dtype).to(device);
  const Evaluation got = evaluate(test.function, converted(reference_inputs(test), dtype, device), cotangent);
  Evaluation expected{reference(test.name + "/out"), {}};
  findings.expect(got.output.dtype() == dtype, "the output has another dtype");
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    expected.gradients.push_back(reference(fmt::format("{}/grad.{}", test.name, i)));
    findings.expect(got.gradients[i].defined() && got.gradients[i].dtype() == dtype,
                    fmt::format("gradient of input {} has another dtype", i));
  }
  findings.compare(got, expected, tolerance);
  return findings.list();
}

Complaints check_further_shapes(const OpCase& test, Dtype dtype, Device device, double tolerance) {
  std::vector<std::vector<Tensor>> further = all_inputs(test);
  if (has_reference(test)) further.erase(further.begin());
  Findings all(test.name);
  for (const std::vector<Tensor>& tensors : further) {
    // Rounded first: both sides see the same inputs.
    const std::vector<Tensor> inputs = converted(tensors, dtype, device);
    const Tensor cotangent = random_cotangent(test, tensors).to(dtype).to(device);
    const Evaluation narrow = evaluate(test.function, inputs, cotangent);
    const Evaluation wide = evaluate(test.function, converted(inputs, Dtype::f64, Device::cpu()),
                                     cotangent.to(Device::cpu()).to(Dtype::f64));
    Findings findings(
        fmt::format("{} of{} in {} on {}", test.name, shapes_of(inputs), name_of(dtype), device.to_string()));
    findings.compare("output", narrow.output, wide.output, tolerance);
    for (size_t i = 0; i < inputs.size(); ++i) {
      // A gradient may cancel to next to nothing (softmax of one element): then the error counts as absolute.
      const Tensor difference = narrow.gradients[i].to(Device::cpu()).to(Dtype::f64) - wide.gradients[i];
      const double bound = 2 * tolerance * std::max(1.0, largest_in(wide.gradients[i]));
      findings.expect(largest_in(difference) <= bound,
                      fmt::format("gradient of input {} is off by {:.3g}", i, largest_in(difference)));
    }
    all.add(findings.list());
  }
  return all.list();
}

Complaints check_strided(const OpCase& test, Dtype dtype, Device device, double tolerance) {
  Findings all(test.name);
  for (const std::vector<Tensor>& tensors : all_inputs(test)) {
    std::vector<Tensor> inputs = converted(tensors, dtype, device);
    const Tensor cotangent = random_cotangent(test, tensors).to(dtype).to(device);
    const Evaluation expected = evaluate(test.function, inputs, cotangent);
    for (Tensor& input : inputs) input = strided_copy(input);
    Findings findings(test.name + " of strided" + shapes_of(inputs));
    findings.compare(evaluate(test.function, inputs, strided_copy(cotangent)), expected, tolerance);
    all.add(findings.list());
  }
  return all.list();
}

Complaints check_expanded(const OpCase& test) {
  std::vector<Tensor> expanded, copies;
  for (const Tensor& input : case_inputs(test)) {
    const bool has_rows = input.rank() > 0 && input.size(0) > 1;
    expanded.push_back(has_rows ? input.slice(0, 0, 1).expand(input.shape()) : input);
    copies.push_back(expanded.back().clone());
  }
  const Tensor cotangent = case_cotangent(test);
  Findings findings(test.name + " of expanded inputs");
  findings.compare(evaluate(test.function, expanded, cotangent), evaluate(test.function, copies, cotangent),
                   exact);
  return findings.list();
}

Complaints check_differences(const OpCase& test) {
  if (!test.options.finite_differences) return {};
  Generator generator = generator_of(test, 4);
  Findings all(test.name);
  for (const std::vector<Tensor>& inputs : all_inputs(test)) {
    all.add(differences(test.name, test.function, inputs, generator));
  }
  return all.list();
}

Complaints check_expanded_cotangent(const OpCase& test) {
  const std::vector<Tensor> inputs = case_inputs(test);
  const auto summed = [&](Inputs in) { return sum(test.function(in)); };
  Findings findings(test.name + " with a cotangent that is an expanded scalar");
  findings.compare_gradients(evaluate(summed, inputs, {}), evaluate(test.function, inputs, {}), exact);
  return findings.list();
}

Complaints check_used_twice(const OpCase& test) {
  const std::vector<Tensor> inputs = case_inputs(test);
  const Tensor cotangent = case_cotangent(test);
  const auto twice = [&](Inputs in) { return test.function(in) + test.function(in); };
  Findings findings(test.name + " used twice");
  findings.compare_gradients(evaluate(twice, inputs, cotangent), evaluate(test.function, inputs, cotangent),
                             exact, 2);
  return findings.list();
}

Complaints check_wanted_alone(const OpCase& test) {
  const std::vector<Tensor> inputs = case_inputs(test);
  const Tensor cotangent = case_cotangent(test);
  const Evaluation all = evaluate(test.function, inputs, cotangent);
  Findings findings(test.name);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<bool> needed(inputs.size(), false);
    needed[i] = true;
    const Evaluation got = evaluate(test.function, inputs, cotangent, needed);
    for (size_t j = 0; j < inputs.size(); ++j) {
      findings.expect(got.gradients[j].defined() == (j == i),
                      fmt::format("of input {} alone a gradient is wanted; what has input {}?", i, j));
    }
    findings.compare(fmt::format("gradient of input {}, wanted alone,", i), got.gradients[i],
                     all.gradients[i], 1e-10);
  }
  return findings.list();
}

Complaints check_same_variable(const OpCase& test, int& tried) {
  const Shapes& shapes = test.shapes;
  if (shapes.size() < 2 || !test.options.finite_differences) return {};
  if (!std::all_of(shapes.begin(), shapes.end(), [&](const Shape& shape) { return shape == shapes[0]; }))
    return {};
  ++tried;
  Generator generator = generator_of(test, 5);
  const auto same = [&](Inputs in) { return test.function(std::vector<Variable>(shapes.size(), in[0])); };
  return differences(test.name + " of one variable", same,
                     random_inputs({shapes[0]}, test.options, generator), generator);
}

Complaints check_recorded(const OpCase& test) {
  Findings findings(test.name);
  std::vector<Variable> leaves, constants;
  for (const Tensor& input : case_inputs(test)) {
    leaves.emplace_back(input, true);
    constants.emplace_back(input);
  }
  const int64_t before = tape_size();
  Tensor expected;
  {
    const Variable output = test.function(leaves);
    expected = output.value();
    findings.expect(output.requires_grad() && output.state()->node, "is not recorded");
    if (output.state()->node) {
      const std::string name = output.state()->node->name;
      findings.expect(name == test.op(), "is recorded as '" + name + "'");
    }
  }
  findings.expect(tape_size() == before, "stays on the tape when nobody holds it");
  const Variable unrecorded = no_grad([&] { return test.function(leaves); });
  const Variable constant = test.function(constants);
  findings.expect(tape_size() == before, "is recorded under no_grad or for constants");
  findings.expect(!unrecorded.requires_grad() && !constant.requires_grad(),
                  "requires a gradient under no_grad or for constants");
  findings.compare("output under no_grad", unrecorded.value(), expected, 1e-10);
  findings.compare("output of constants", constant.value(), expected, 1e-10);
  return findings.list();
}

Complaints check_mixed_dtypes(const OpCase& test) {
  if (test.shapes.size() < 2) return {};
  std::vector<Variable> inputs;
  for (const Tensor& input : case_inputs(test)) inputs.emplace_back(input);
  inputs.back() = Variable(inputs.back().value().to(Dtype::f32));
  const std::string message = message_of([&] { test.function(inputs); });
  Findings findings(test.name + " of f64 and f32");
  findings.expect(contains(message, ": operand") && contains(message, "f64") && contains(message, "f32"),
                  "got: " + message);
  return findings.list();
}

Complaints check_wrong_shapes(const OpCase& test) {
  Findings findings(test.name);
  for (const WrongCall& call : test.options.wrong) {
    std::vector<Variable> inputs;
    for (const Shape& shape : call.shapes) inputs.emplace_back(Tensor::zeros(shape));
    const std::string message = message_of([&] { test.function(inputs); });
    findings.expect(contains(message, call.message), "expected: " + call.message + "; got: " + message);
  }
  return findings.list();
}

}  // namespace nabla
