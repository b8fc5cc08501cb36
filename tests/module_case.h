// A module of this project against the same module of PyTorch: cases of tests/reference/make_nn.py.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "autograd/variable.h"
#include "nn/module.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

namespace nabla {

// |x - expected|_2 / |expected|_2, absolute where expected is 0; a NaN of x stays one. Both have
// the same shape.
inline double relative_distance(const Tensor& x, const Tensor& expected) {
  check(x.shape() == expected.shape(), "compared: {} with {}", x.shape(), expected.shape());
  const auto a = x.to_vector<double>(), b = expected.to_vector<double>();
  double distance = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    distance += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return norm > 0 ? std::sqrt(distance / norm) : std::sqrt(distance);
}

inline const SafeTensors& nn_reference() {
  static const SafeTensors file = SafeTensors::load(source_folder() / "tests/reference/nn.safetensors");
  return file;
}

// A tensor of nn.safetensors as f64.
inline Tensor nn_reference(const std::string& name) { return nn_reference().get(name).to(Dtype::f64); }

// Gives the module the case's parameters by name and compares output and all gradients with PyTorch's.
inline void check_module(const std::string& name, Module& module,
                         const std::function<Variable(const Variable&)>& function, double tolerance = 1e-12) {
  CAPTURE(name);
  const std::string prefix = name + "/p.";
  std::map<std::string, Tensor> parameters;
  for (const std::string& key : nn_reference().names()) {
    if (key.starts_with(prefix)) parameters[key.substr(prefix.size())] = nn_reference(key);
  }
  module.to(Dtype::f64);
  module.load_state_dict(parameters, name);
  const Variable x(nn_reference(name + "/x"), true);
  const Variable out = function(x);
  CHECK(relative_distance(out.value(), nn_reference(name + "/out")) < tolerance);
  out.backward(nn_reference(name + "/cotangent"));
  CHECK(relative_distance(x.grad(), nn_reference(name + "/grad.x")) < tolerance);
  for (const auto& [path, parameter] : module.named_parameters()) {
    CAPTURE(path);
    REQUIRE(parameter.grad().defined());
    CHECK(relative_distance(parameter.grad(), nn_reference(name + "/grad." + path)) < tolerance);
  }
}

}  // namespace nabla
