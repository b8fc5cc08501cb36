// Variable: a tensor whose history is recorded on the tape, so that gradients flow back through it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nabla {

// Receives the gradient of a variable, summed over all its uses, and returns its replacement.
using Hook = std::function<Tensor(const Tensor& gradient)>;

struct VariableState;
struct HeldValue;

// Removes a hook; does nothing if it is already gone. May be called inside the hook itself.
class HookHandle {
 public:
  HookHandle() = default;
  HookHandle(const std::shared_ptr<VariableState>& state, uint64_t id) : state_(state), id_(id) {}
  void remove();

 private:
  std::weak_ptr<VariableState> state_;
  uint64_t id_ = 0;
};

// A handle: copies are the same variable.
class Variable {
 public:
  Variable() = default;  // undefined
  // The same variable. A TensorWatcher of this thread is told of its value.
  Variable(const Variable& other) : held_(other.held_) {
    if (TensorWatcher::watching()) notify_watcher();
  }
  Variable& operator=(const Variable& other) = default;
  Variable(Variable&&) = default;
  Variable& operator=(Variable&&) = default;
  // A leaf. requires_grad needs a floating dtype.
  Variable(Tensor value, bool requires_grad = false);

  bool defined() const { return held_ != nullptr; }
  const Tensor& value() const;
  const Shape& shape() const { return value().shape(); }
  Dtype dtype() const { return value().dtype(); }
  Device device() const { return value().device(); }
  int64_t size(int axis) const { return value().size(axis); }
  double item() const { return value().item(); }

  bool requires_grad() const;
  bool is_leaf() const;
  // Leaves only: starts or stops recording for later uses. While no gradient is required the value is taken
  // to be constant (backends may keep packed copies of it); starting copies it to memory of its own.
  void set_requires_grad(bool on) const;
  // Leaves only: replaces the value (a loaded weight, another dtype). The shape may change; the
  // gradient is dropped. A graph whose ops saved the value before refuses to go backward.
  void set_value(Tensor value) const;

  // What errors call the variable; empty until somebody names it. A module names its parameters by their path.
  const std::string& name() const;
  void set_name(std::string name) const;

  // The gradient of a leaf or a retained variable; undefined before backward().
  const Tensor& grad() const;
  // Of the variable's shape, dtype and device, or undefined: none. Throws otherwise.
  void set_grad(Tensor gradient) const;
  void zero_grad() const { set_grad({}); }
  // Makes a non-leaf keep its gradient too (after its hooks).
  void retain_grad() const;
  // Hooks run in the order they were registered, once per backward(), on the sum of all contributions, before
  // anything upstream sees it. What a hook returns has the gradient's shape, dtype and device; it must not
  // change in place what it was given, which others may share. Throws on a variable that requires no gradient.
  HookHandle register_hook(Hook hook) const;

  // The same value without history.
  Variable detach() const;

  // Gradients of this variable with respect to everything that requires one, added to the leaves' grad().
  // `gradient` has this variable's shape, dtype and device; it may be left out for a variable of one element
  // (then it is 1). The part of the tape that was walked is released; a second backward() through it throws.
  // Throws, too, where a tensor that an op saved was changed in place since (Tensor::version()).
  void backward(Tensor gradient = {}) const;

  // For ops (tape.h).
  const std::shared_ptr<VariableState>& state() const;
  const std::function<Tensor()>& again() const;
  void set_again(std::function<Tensor()> again) const;

 private:
  void notify_watcher() const;

  std::shared_ptr<HeldValue> held_;
};

// The variables, each once, in the order of their first places: what is summed or stepped over a list counts a
// tied parameter once.
std::vector<Variable> without_repeats(const std::vector<Variable>& variables);

}  // namespace nabla
