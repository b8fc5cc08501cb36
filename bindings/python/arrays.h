// Memory that tensors share with other libraries' arrays.
#pragma once

#include <nanobind/ndarray.h>

#include "bindings/python/binding.h"

namespace dinomaly::python {

// The memory of a tensor, which lives as long as any array on it.
nb::ndarray<> array_of(const Tensor& tensor);
// The same as NumPy's. Throws InputError for bf16, which it has not, and for a tensor of a GPU.
nb::object numpy_of(const Tensor& tensor);

}  // namespace dinomaly::python
