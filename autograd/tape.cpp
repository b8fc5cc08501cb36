#include "autograd/tape.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tensor/ops.h"
#include "tensor/profiler.h"

namespace nabla {

namespace {

std::atomic<uint64_t> next_order{1};
std::atomic<int64_t> live_nodes{0};

// Whether nothing else holds the memory, so that it may be changed in place or kept without a copy.
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

bool fits(const Tensor& gradient, const VariableState& variable) {
  return gradient.shape() == variable.shape && gradient.dtype() == variable.dtype &&
         gradient.device() == variable.device;
}

// "f32 (2, 3) on cpu"
std::string text_of(const Tensor& x) { return fmt::format("{} {} on {}", x.dtype(), x.shape(), x.device()); }
std::string text_of(const VariableState& x) { return fmt::format("{} {} on {}", x.dtype, x.shape, x.device); }

// The sum of all contributions after the variable's hooks.
Tensor finish(VariableState& state) {
  Tensor gradient = std::exchange(state.pending, {});
  const std::vector<HookEntry> hooks = state.hooks;  // a hook may remove itself or others
  for (const HookEntry& entry : hooks) {
    const Tensor given = gradient;
    const uint64_t version = given.version();
    gradient = entry.hook(gradient);
    check(gradient.defined(), "hook: returned no gradient for a variable of {}", state.shape);
    check_gradient_fits("hook", gradient, state);
    check(given.version() == version,
          "hook: changed the gradient of {} in place, which others may share; return a new tensor",
          state.shape);
  }
  return gradient;
}

void add_to_grad(VariableState& state, const Tensor& gradient) {
  if (state.grad.defined()) {
    state.grad = state.grad + gradient;
  } else {
    state.grad = is_ours(gradient) ? gradient : gradient.clone();
  }
}

// For each leaf that `root` depends on, the oldest op that gives it a gradient: after it the sum is complete.
std::unordered_map<const VariableState*, uint64_t> oldest_uses(const VariableState& root) {
  std::unordered_map<const VariableState*, uint64_t> oldest;
  std::unordered_set<const VariableState*> visited;
  std::vector<const VariableState*> waiting{&root};
  while (!waiting.empty()) {
    const VariableState* const state = waiting.back();
    waiting.pop_back();
    if (!state->node || !visited.insert(state).second) continue;
    for (const auto* inputs : {&state->node->inputs, &state->node->more}) {
      for (const std::shared_ptr<VariableState>& input : *inputs) {
        if (!input || !input->requires_grad) continue;
        if (input->node) {
          waiting.push_back(input.get());
        } else {
          uint64_t& order = oldest.try_emplace(input.get(), state->node->order).first->second;
          order = std::min(order, state->node->order);
        }
      }
    }
  }
  return oldest;
}

// The variables a gradient is on its way to: made by ops, newest last, and leaves.
// A walk inside another one keeps what was recorded since the op that started it, and `inputs`; everything
// older belongs to the walk around.
class Walk {
 public:
  explicit Walk(const VariableState& root) : oldest_uses_(oldest_uses(root)) {}
  Walk(Walk& around, const std::vector<Variable>& inputs) : around_(&around) {
    for (const Variable& input : inputs) {
      if (input.defined()) inputs_.insert(input.state().get());
    }
  }
  // Also when a hook or an op throws: no partial sum of a gradient is left behind.
  ~Walk() {
    for (auto& [order, state] : reached_) state->pending = {};
    for (auto& [order, state] : leaves_) state->pending = {};
  }

  void add(const std::shared_ptr<VariableState>& state, Tensor contribution) {
    if (around_ != nullptr && is_older(*state)) return around_->add(state, std::move(contribution));
    check(!state->released, "backward: this part of the graph was already released by an earlier backward()");
    if (!state->pending.defined()) {
      if (state->node)
        reached_.emplace(state->node->order, state);
      else
        add_leaf(state);
    }
    accumulate(*state, std::move(contribution));
  }

  // Passes all ops. In a walk of backward() hooks see a leaf's sum as soon as it is complete.
  void run() {
    Walk* const outer = std::exchange(running_, this);
    const Restore restore{outer};
    while (!reached_.empty()) {
      finish_leaves_used_after(std::prev(reached_.end())->first);
      const std::shared_ptr<VariableState> newest = std::move(std::prev(reached_.end())->second);
      reached_.erase(std::prev(reached_.end()));
      const std::unique_ptr<Node> node = std::move(newest->node);
      newest->released = true;
      order_ = node->order;
      const Tensor gradient = finish(*newest);
      if (newest->retain_grad) add_to_grad(*newest, gradient);
      propagate(*node, gradient);
    }
  }

  // After run(). Only now do the leaves' grads change: not where a hook or an op throws.
  void finish_leaves() {
    finish_leaves_used_after({});
    for (auto& [leaf, gradient] : finished_) add_to_grad(*leaf, gradient);
  }

  static Walk* running() { return running_; }

 private:
  struct Restore {
    Walk* outer;
    ~Restore() { running_ = outer; }
  };

  bool is_older(const VariableState& state) const {
    if (inputs_.contains(&state)) return false;
    return state.node == nullptr || state.node->order < around_->order_;
  }

  void add_leaf(const std::shared_ptr<VariableState>& leaf) {
    const auto use = oldest_uses_.find(leaf.get());
    // An op of which nobody knows that it would add to this leaf: it waits for the end.
    const uint64_t oldest = use == oldest_uses_.end() ? 0 : use->second;
    check(oldest <= order_ || order_ == 0,
          "gradients_of: a gradient for {}, whose sum was complete: the op's entry does not name it",
          text_of(*leaf));
    leaves_.emplace(oldest, leaf);
  }

  // Those to which no op up to `order`, the newest that is left, will add; without it, all.
  void finish_leaves_used_after(std::optional<uint64_t> order) {
    if (around_ != nullptr) return;
    while (!leaves_.empty() && (!order || leaves_.begin()->first > *order)) {
      const std::shared_ptr<VariableState> leaf = leaves_.begin()->second;
      leaves_.erase(leaves_.begin());
      finished_.emplace_back(leaf, finish(*leaf));
    }
  }

  void propagate(const Node& node, const Tensor& gradient) {
    check_unchanged(node.saved);
    const uint64_t version = gradient.version();
    Gradients gradients = node.backward(gradient);
    check(gradient.version() == version,
          "{}: backward changed the gradient of its output in place, which others may share", node.name);
    check(gradients.size() == node.inputs.size(), "{}: backward gave {} gradients for {} inputs", node.name,
          gradients.size(), node.inputs.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      const std::shared_ptr<VariableState>& input = node.inputs[i];
      if (!gradients[i].defined() || !input || !input->requires_grad) continue;
      if (!fits(gradients[i], *input)) {
        fail("{}: backward gave a gradient of {} for input {} of {}", node.name, text_of(gradients[i]), i,
             text_of(*input));
      }
      if (DetectAnomaly::enabled()) check_gradient(node.name, i, gradients[i], node.called_at);
      add(input, std::move(gradients[i]));
    }
  }

  static thread_local Walk* running_;

  Walk* around_ = nullptr;
  std::set<const VariableState*> inputs_;
  uint64_t order_ = 0;  // of the op whose backward is running
  std::map<uint64_t, std::shared_ptr<VariableState>> reached_;
  std::unordered_map<const VariableState*, uint64_t> oldest_uses_;
  std::multimap<uint64_t, std::shared_ptr<VariableState>, std::greater<>> leaves_;  // by their oldest use
  std::vector<std::pair<std::shared_ptr<VariableState>, Tensor>> finished_;
};

thread_local Walk* Walk::running_ = nullptr;

}  // namespace

Node::~Node() {
  // Dropping an input may destroy its node, which comes here again: the outermost call does all the work.
  thread_local std::vector<std::shared_ptr<VariableState>> waiting;
  thread_local bool emptying = false;
  --live_nodes;
  for (auto* states : {&inputs, &more}) {
    for (auto& state : *states) waiting.push_back(std::move(state));
  }
  if (emptying) return;
  emptying = true;
  while (!waiting.empty()) {
    const std::shared_ptr<VariableState> last = std::move(waiting.back());
    waiting.pop_back();
  }
  emptying = false;
}

void check_gradient_fits(const char* who, const Tensor& gradient, const VariableState& variable) {
  if (!fits(gradient, variable))
    fail("{}: a gradient of {} for a variable of {}", who, text_of(gradient), text_of(variable));
}

void append_to_tape(const Variable& output, const char* name, const std::vector<Variable>& inputs,
                    Backward backward, std::vector<std::shared_ptr<VariableState>> more) {
  auto node = std::make_unique<Node>();
  ++live_nodes;
  node->order = next_order++;
  node->name = name;
  for (const Variable& input : inputs) node->inputs.push_back(input.state());
  node->more = std::move(more);
  std::vector<TensorWatcher::Seen> captured;
  {
    TensorWatcher watcher;
    node->backward = backward;  // copied, not moved: the copy shows what it has captured
    captured = watcher.take();
  }
  node->saved = saved_tensors(name, captured, inputs, output);
  if (DetectAnomaly::enabled()) node->called_at = call_stack();
  output.state()->node = std::move(node);
}

int64_t tape_size() { return live_nodes; }

uint64_t next_tape_order() { return next_order; }

void Variable::backward(Tensor gradient) const {
  check(requires_grad(), "backward: the variable requires no gradient");
  if (!gradient.defined()) {
    check(value().numel() == 1, "backward: a variable of shape {} needs a gradient to start from", shape());
    gradient = Tensor::ones(shape(), dtype(), device());
  }
  check_gradient_fits("backward", gradient, *state());
  NoGrad no_recording;
  const PhaseGuard phase(Phase::backward);
  Walk walk(*state());
  walk.add(state(), std::move(gradient));
  walk.run();
  walk.finish_leaves();
}

std::vector<Tensor> gradients_of(const Variable& output, Tensor gradient,
                                 const std::vector<Variable>& inputs) {
  check(Walk::running() != nullptr, "gradients_of: only for the backward of an op");
  check(output.requires_grad(), "gradients_of: the variable of {} requires no gradient", output.shape());
  check_gradient_fits("gradients_of", gradient, *output.state());
  NoGrad no_recording;
  Walk walk(*Walk::running(), inputs);
  walk.add(output.state(), std::move(gradient));
  walk.run();
  std::vector<Tensor> gradients;
  for (const Variable& input : inputs) {
    const bool reached = input.defined() && input.state()->pending.defined();
    gradients.push_back(reached ? finish(*input.state()) : Tensor());
  }
  return gradients;
}

Variable non_differentiable(const char* name, Tensor value, const std::vector<Variable>& inputs) {
  const size_t count = inputs.size();
  return record(name, std::move(value), inputs, [name, count](const Tensor&) {
    fail("{}: has no gradient; call it in no_grad or use the differentiable form", name);
    return Gradients(count);
  });
}

}  // namespace nabla
