// What every OpCase is put through. A check returns what is wrong, one line each; nothing if all is well. So a test can ask
// whether a check sees a fault (harness_test.cpp).
#pragma once

#include "tests/ops/op_case.h"

namespace nabla {

using Complaints = std::vector<std::string>;

// PyTorch's inputs, or random ones where the file has none.
std::vector<Tensor> case_inputs(const OpCase& test);
// PyTorch's cotangent, or a random one.
Tensor case_cotangent(const OpCase& test);

// Values and gradients in `dtype` against PyTorch's f64. Nothing without PyTorch's numbers.
Complaints check_against_reference(const OpCase& test, Dtype dtype, Device device, double tolerance);
// Further shapes in `dtype`, against f64 on the CPU; without PyTorch's numbers the case's own shapes, too.
Complaints check_further_shapes(const OpCase& test, Dtype dtype, Device device, double tolerance);
// Views that are not contiguous against the same elements without gaps: the case's shapes and all further ones.
Complaints check_strided(const OpCase& test, Dtype dtype, Device device, double tolerance);
// Inputs that read one element many times, against their copies.
Complaints check_expanded(const OpCase& test);
// Gradients against central differences, in f64.
Complaints check_differences(const OpCase& test);
// Inputs of the size 50, 700 and more (OpOptions::largest): in f64 everything is finite and gradients are the limits of
// differences, and what f32 and bf16 can hold of it is finite there, too, and of the right size.
Complaints check_large_values(const OpCase& test, Device device);
// A NaN in the element of an input that the output depends on most is one in the output.
Complaints check_nan(const OpCase& test, Device device);
// A cotangent without memory of its own, an input used twice, each gradient wanted alone.
Complaints check_expanded_cotangent(const OpCase& test);
Complaints check_used_twice(const OpCase& test);
Complaints check_wanted_alone(const OpCase& test);
// One variable in the place of several inputs of one shape; `tried` counts the cases that have such.
Complaints check_same_variable(const OpCase& test, int& tried);
// The op's name on the tape, where it leaves nothing behind, and nothing under no_grad or for constants.
Complaints check_recorded(const OpCase& test);
// Operands of two dtypes, and the case's wrong shapes, give the stated errors.
Complaints check_mixed_dtypes(const OpCase& test);
Complaints check_wrong_shapes(const OpCase& test);

}  // namespace nabla
