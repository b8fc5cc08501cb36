// One declaration tests an op in every way that can be derived. A new case is
//
//   OpCase softplus_case{"softplus", {{3, 7}}, [](Inputs in) { return softplus(in[0]); }};
//
// op_checks.h says what is derived. To have values and gradients compared with PyTorch's, too, add one line to
// tests/reference/make_ops.py, case("softplus", [(3, 7)], F.softplus), and run it; without, a message says so. Among the cases of an op, coverage_test.cpp wants an
// empty input, inputs of one element, a size that no vector width divides, and shapes that do not fit: what
// `also` and `wrong` are for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/ops/ops.h"

namespace nabla {

using Inputs = const std::vector<Variable>&;
using OpFunction = std::function<Variable(Inputs)>;
using Shapes = std::vector<Shape>;

// A call that must throw an Error whose message contains `message`.
struct WrongCall {
  Shapes shapes;
  std::string message;
};

struct OpOptions {
  std::vector<Shapes> also =
      {};  // further input shapes (empty, of ones, longer) for the checks without PyTorch
  std::vector<WrongCall> wrong = {};  // shapes that do not fit
  double low = -2, high = 2;          // the range of random inputs; a domain of positive numbers has low >= 0
  double largest =
      1e4;  // inputs up to this size, negative ones too if the domain has them, overflow nothing in f64
  double f32 = 1e-5, bf16 = 2e-2;  // tolerated relative errors against PyTorch's f64
  bool finite_differences =
      true;  // false at a kink: PyTorch's choice of a derivative has no difference quotient
};

// Registers itself. `name` is the name the op is recorded under; what follows a dot tells several cases of
// one op apart. `function` takes one Variable per shape; what needs no gradient (labels, masks) it makes
// itself, on the device of its inputs, and the same at every call.
struct OpCase {
  OpCase(std::string name, Shapes shapes, OpFunction function, OpOptions options = {});

  // One that does not register itself, for a test of the checks.
  static OpCase unregistered(std::string name, Shapes shapes, OpFunction function, OpOptions options = {});

  std::string op() const { return name.substr(0, name.find('.')); }
  static const std::vector<OpCase>& all();

  std::string name;
  Shapes shapes;
  OpFunction function;
  OpOptions options;
};

// What a call gave: its output and the gradient of each input.
struct Evaluation {
  Tensor output;
  std::vector<Tensor> gradients;
};

// Calls the function on fresh leaves and goes backward from `cotangent` (undefined: ones). needed[i] says
// whether input i requires a gradient (none given: all do).
Evaluation evaluate(const OpFunction& function, const std::vector<Tensor>& inputs, const Tensor& cotangent,
                    const std::vector<bool>& needed = {});

// Whether the file has PyTorch's numbers for a case.
bool has_reference(const OpCase& test);
// PyTorch's numbers for a case: "in.0", "cotangent", "out", "grad.0"; f64.
Tensor reference(const std::string& name);
std::vector<Tensor> reference_inputs(const OpCase& test);

std::vector<Tensor> random_inputs(const Shapes& shapes, const OpOptions& options, Generator& generator);
// The same elements scattered through a larger buffer of NaNs: all axes reversed, every other
// element, offset 1.
Tensor strided_copy(const Tensor& x);
std::vector<Tensor> converted(const std::vector<Tensor>& tensors, Dtype dtype, Device device = {});

// max |actual - expected| / max |expected|; absolute where all expected are 0, infinite for other
// shapes or NaN.
double relative_error(const Tensor& actual, const Tensor& expected);
// The largest absolute value; infinite for NaN.
inline double largest_in(const Tensor& x) { return relative_error(x, Tensor::zeros(x.shape(), Dtype::f64)); }

}  // namespace nabla
