// Module: a tree of layers with named parameters, as torch.nn.Module has them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace nabla {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// A layer declares its parts in its constructor: `weight = parameter("weight", ...)`, `fc1 =
// &add<Linear>("fc1", ...)`. The children belong to the module and keep their address, so a module is neither
// copied nor moved.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // All parameters of the tree, named by their path ("decoder.0.attn.qkv.weight"), in order of declaration. A
  // parameter that stands in several places (tied weights) is listed once, under its first name.
  std::vector<std::pair<std::string, Variable>> named_parameters() const;
  std::vector<Variable> parameters() const;

  // This module ("") and all below it, by their paths.
  std::vector<std::pair<std::string, Module*>> modules();

  // The values of parameters and buffers, which share their memory; tied ones under each of their names.
  NamedTensors state_dict() const;
  // Takes the values (converted to the parameters' dtype and device; copied unless the parameter requires no
  // gradient, so frozen weights of a mapped file stay there). Throws InputError listing missing, unexpected
  // and misshapen names, and then changes nothing. `source` names the file in the message. Of tied
  // parameters all names are wanted, and the last one's value stays.
  void load_state_dict(const std::map<std::string, Tensor>& values, const std::string& source);

  void to(Dtype dtype);  // what is of integers stays
  void to(Device device);
  // Whether dropout drops; on after construction.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  // Parameters stop (or start) requiring gradients.
  void set_requires_grad(bool on);

 protected:
  Variable parameter(std::string name, Tensor value) {
    return tie(std::move(name), Variable(std::move(value), true));
  }
  // The same for a parameter that exists already, here or in another module.
  Variable tie(std::string name, const Variable& other) {
    if (other.name().empty()) other.set_name(name);
    parameters_.emplace_back(std::move(name), other);
    return other;
  }
  // A parameter of this module that is replaced by others.
  void remove(const std::string& name) {
    std::erase_if(parameters_, [&](const auto& entry) { return entry.first == name; });
  }
  // A constant that is loaded and saved with the parameters, but is none: it is not trained, and to() leaves it as
  // it is.
  Variable buffer(std::string name, Tensor value) {
    buffers_.emplace_back(std::move(name), Variable(std::move(value)));
    return buffers_.back().second;
  }
  template <class Child, class... Args>
  Child& add(std::string name, Args&&... args) {
    auto child = std::make_unique<Child>(std::forward<Args>(args)...);
    Child& reference = *child;
    for (const auto& [path, parameter] : child->named_parameters()) parameter.set_name(name + "." + path);
    children_.emplace_back(std::move(name), std::move(child));
    return reference;
  }

 private:
  using Named = std::vector<std::pair<std::string, Variable>>;
  Named named(Named Module::*own) const;

  Named parameters_, buffers_;
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  bool training_ = true;
};

}  // namespace nabla
