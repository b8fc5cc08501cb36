// Checks numerically that a backward formula is the derivative of its forward formula.
#pragma once

#include <functional>
#include <vector>

#include "autograd/variable.h"
#include "tensor/random.h"

namespace nabla {

// Compares the gradient of L = sum(c * function(inputs)), c a cotangent drawn from the standard
// normal distribution, with central differences (L(x + h) - L(x - h)) / 2h in float64, for every
// element of every input.
//   inputs: f64 on the CPU; function: deterministic, smooth within h = 1e-5 of the inputs, any output shape
// The error of an element is |gradient - difference|, less what rounding of the outputs explains, divided by
// the largest |difference| of that input: a function of any scale is checked as closely. Returns the largest
// error; throws Error naming input, element and both numbers if it exceeds `tolerance`. An input the output
// does not depend on must have no gradient or zeros.
double gradcheck(const std::function<Variable(const std::vector<Variable>&)>& function,
                 const std::vector<Tensor>& inputs, Generator& generator, double tolerance = 1e-6);

}  // namespace nabla
