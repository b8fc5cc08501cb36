#include "autograd/tape.h"

#include <atomic>
#include <map>
#include <utility>

#include "tensor/ops.h"

namespace dinomaly {

namespace {

std::atomic<uint64_t> next_order{1};
std::atomic<int64_t> live_nodes{0};

// Whether nobody else holds the memory, so that it may be changed in place or kept without a copy.
bool is_ours(const Tensor& tensor) { return tensor.storage().use_count() == 1 && tensor.is_contiguous(); }

void accumulate(VariableState& state, Tensor contribution) {
  if (!state.pending.defined()) {
    state.pending = std::move(contribution);
  } else if (is_ours(state.pending)) {
    add_(state.pending, contribution);
  } else {
    state.pending = state.pending + contribution;
  }
}

// The sum of all contributions after the variable's hooks; added to grad if `keep`.
Tensor finish(VariableState& state, bool keep) {
  Tensor gradient = std::exchange(state.pending, {});
  const std::vector<HookEntry> hooks = state.hooks;  // a hook may remove itself or others
  for (const HookEntry& entry : hooks) {
    gradient = entry.hook(gradient);
    check(gradient.defined() && gradient.shape() == state.value.shape(),
          "hook: returned a gradient of {} for {}", gradient.shape(), state.value.shape());
  }
  if (keep && state.grad.defined()) {
    state.grad = state.grad + gradient;
  } else if (keep) {
    state.grad = is_ours(gradient) ? gradient : gradient.clone();
  }
  return gradient;
}

// The variables a gradient is on its way to: made by ops, newest last, and leaves, which wait for the end.
class Walk {
 public:
  // Also when a hook or an op throws: no half-summed gradient stays behind.
  ~Walk() {
    for (auto& [order, state] : reached_) state->pending = {};
    for (auto& state : leaves_) state->pending = {};
  }

  void add(const Variable& variable, Tensor contribution) {
    const std::shared_ptr<VariableState>& state = variable.state();
    check(!state->released, "backward: this part of the graph was already released by an earlier backward()");
    if (!state->pending.defined()) {
      if (state->node)
        reached_.emplace(state->node->order, state);
      else
        leaves_.push_back(state);
    }
    accumulate(*state, std::move(contribution));
  }

  void run() {
    while (!reached_.empty()) {
      const std::shared_ptr<VariableState> newest = std::move(std::prev(reached_.end())->second);
      reached_.erase(std::prev(reached_.end()));
      const std::unique_ptr<Node> node = std::move(newest->node);
      newest->released = true;
      propagate(*node, finish(*newest, newest->retain_grad));
    }
    for (auto& leaf : leaves_) finish(*leaf, true);
  }

 private:
  void propagate(const Node& node, const Tensor& gradient) {
    Gradients gradients = node.backward(gradient);
    check(gradients.size() == node.inputs.size(), "{}: backward gave {} gradients for {} inputs", node.name,
          gradients.size(), node.inputs.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Variable& input = node.inputs[i];
      if (!gradients[i].defined() || !input.defined() || !input.requires_grad()) continue;
      check(gradients[i].shape() == input.shape(), "{}: backward gave a gradient of {} for input {} of {}",
            node.name, gradients[i].shape(), i, input.shape());
      add(input, std::move(gradients[i]));
    }
  }

  std::map<uint64_t, std::shared_ptr<VariableState>> reached_;
  std::vector<std::shared_ptr<VariableState>> leaves_;
};

}  // namespace

Node::~Node() {
  // Dropping an input may destroy its node, which comes here again: the outermost call does all the work.
  thread_local std::vector<Variable> waiting;
  thread_local bool emptying = false;
  --live_nodes;
  for (Variable& input : inputs) waiting.push_back(std::move(input));
  if (emptying) return;
  emptying = true;
  while (!waiting.empty()) {
    const Variable last = std::move(waiting.back());
    waiting.pop_back();
  }
  emptying = false;
}

void append_to_tape(const Variable& output, const char* name, std::vector<Variable> inputs,
                    Backward backward) {
  auto node = std::make_unique<Node>();
  ++live_nodes;
  node->order = next_order++;
  node->name = name;
  node->inputs = std::move(inputs);
  node->backward = std::move(backward);
  output.state()->node = std::move(node);
}

int64_t tape_size() { return live_nodes; }

void Variable::backward(Tensor gradient) const {
  check(requires_grad(), "backward: the variable requires no gradient");
  if (!gradient.defined()) {
    check(value().numel() == 1, "backward: a variable of shape {} needs a gradient to start from", shape());
    gradient = Tensor::ones(shape(), dtype(), device());
  }
  check(gradient.shape() == shape(), "backward: a gradient of {} for a variable of {}", gradient.shape(),
        shape());
  NoGrad no_recording;
  Walk walk;
  walk.add(*this, std::move(gradient));
  walk.run();
}

Variable non_differentiable(const char* name, Tensor value, std::vector<Variable> inputs) {
  const size_t count = inputs.size();
  return record(name, std::move(value), std::move(inputs), [name, count](const Tensor&) {
    fail("{}: has no gradient; call it in no_grad or use the differentiable form", name);
    return Gradients(count);
  });
}

}  // namespace dinomaly
