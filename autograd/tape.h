// The tape: every recorded op in creation order. backward() walks it from the newest entry to the oldest and
// releases each entry as it passes, so there is neither recursion nor a deep chain of destructors.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/grad_mode.h"
#include "autograd/variable.h"
#include "tensor/kernels.h"

namespace dinomaly {

// The gradients of an op's inputs, in their order; an undefined one means none.
struct Gradients : std::vector<Tensor> {
  using std::vector<Tensor>::vector;
  Gradients(Tensor single) : std::vector<Tensor>{std::move(single)} {}
};
using Backward = std::function<Gradients(const Tensor& dy)>;

// One recorded op. Owned by the tape; goes when its output's last handle goes or when backward() has passed it.
struct Node {
  std::string name;
  std::vector<Variable> inputs;
  VariableState* output = nullptr;
  Backward backward;
};

struct HookEntry {
  uint64_t id;
  Hook hook;
};

struct VariableState : std::enable_shared_from_this<VariableState> {
  Tensor value;
  bool requires_grad = false;
  bool retain_grad = false;
  bool released = false;  // a non-leaf whose node backward() has passed
  Tensor grad;
  std::vector<HookEntry> hooks;
  std::list<Node>::iterator node;
  bool has_node = false;

  // Gradient under construction while backward() walks. `pending_is_ours`: no one else holds it, so the next
  // contribution is added in place.
  Tensor pending;
  bool pending_is_ours = false;

  ~VariableState();
};

// The tape of this thread. A graph belongs to the thread that built it.
class Tape {
 public:
  static Tape& current();

  void append(Node node);
  void erase(VariableState& output);
  void backward(const Variable& root, Tensor gradient);
  size_t size() const { return nodes_.size(); }
  const std::list<Node>& nodes() const { return nodes_; }

 private:
  void propagate(Node& node);
  void trash(std::vector<Variable>&& inputs);

  std::list<Node> nodes_;
  std::vector<Variable> trash_;  // inputs of erased nodes, dropped one by one: no recursion
  bool emptying_trash_ = false;
};

// Makes `value` the output of an op: a plain constant where no input requires a gradient or recording is off
// (no_grad), else an entry on the tape. `backward` maps dy to the inputs' gradients, in the order of `inputs`;
// what it captures is the saved state. It captures Tensors, never the output Variable (a reference cycle).
template <class Function>
Variable record(const char* name, Tensor value, std::vector<Variable> inputs, Function backward) {
  bool needed = false;
  if (GradMode::enabled()) {
    for (const Variable& input : inputs) needed = needed || (input.defined() && input.requires_grad());
  }
  Variable output(std::move(value), needed);
  if (needed) Tape::current().append({name, std::move(inputs), output.state().get(), Backward(std::move(backward))});
  return output;
}

// The output of a fast path without backward: throws "NAME has no gradient" if one is asked of it.
Variable non_differentiable(const char* name, Tensor value, std::vector<Variable> inputs);

inline Kernels& kernels_for(const Variable& variable) { return kernels_for(variable.device()); }

}  // namespace dinomaly
