#include "autograd/variable.h"

#include <atomic>
#include <set>

#include "autograd/tape.h"

namespace nabla {

namespace {
VariableState& state_of(const Variable& variable) {
  check(variable.defined(), "the variable is undefined");
  return *variable.state();
}

void hold(HeldValue& held, Tensor value) {
  held.value = std::move(value);
  held.state->shape = held.value.shape();
  held.state->dtype = held.value.dtype();
  held.state->device = held.value.device();
}
}  // namespace

Variable::Variable(Tensor value, bool requires_grad) : held_(std::make_shared<HeldValue>()) {
  check(!requires_grad || is_floating(value.dtype()), "a variable of {} cannot require a gradient",
        value.dtype());
  held_->state = std::make_shared<VariableState>();
  held_->state->held = held_;
  held_->state->requires_grad = requires_grad;
  hold(*held_, std::move(value));
}

const std::shared_ptr<VariableState>& Variable::state() const {
  static const std::shared_ptr<VariableState> none;
  return held_ ? held_->state : none;
}

const Tensor& Variable::value() const {
  check(defined(), "the variable is undefined");
  return held_->value;
}

const std::function<Tensor()>& Variable::again() const {
  check(defined(), "the variable is undefined");
  return held_->again;
}

void Variable::set_again(std::function<Tensor()> again) const { held_->again = std::move(again); }

bool Variable::requires_grad() const { return state_of(*this).requires_grad; }

bool Variable::is_leaf() const { return !state_of(*this).node && !state_of(*this).released; }

void Variable::set_requires_grad(bool on) const {
  check(is_leaf(), "set_requires_grad: not a leaf; use detach()");
  check(!on || is_floating(dtype()), "a variable of {} cannot require a gradient", dtype());
  // From now on the value may be changed in place. So it must not be a mapped file's memory, and a backend
  // must stop using what it packed from the frozen value.
  if (on && !requires_grad() && value().defined()) held_->value = value().clone();
  state()->requires_grad = on;
}

void Variable::set_value(Tensor value) const {
  check(is_leaf(), "set_value: not a leaf");
  check(!requires_grad() || is_floating(value.dtype()), "a variable of {} cannot require a gradient",
        value.dtype());
  hold(*held_, std::move(value));
  ++state()->times_set;
  state()->grad = {};
}

const Tensor& Variable::grad() const { return state_of(*this).grad; }

const std::string& Variable::name() const { return state_of(*this).name; }

void Variable::set_name(std::string name) const { state_of(*this).name = std::move(name); }

void Variable::set_grad(Tensor gradient) const {
  if (gradient.defined()) check_gradient_fits("set_grad", gradient, state_of(*this));
  state_of(*this).grad = std::move(gradient);
}

void Variable::retain_grad() const {
  check(requires_grad(), "retain_grad: the variable requires no gradient");
  state()->retain_grad = true;
}

HookHandle Variable::register_hook(Hook hook) const {
  static std::atomic<uint64_t> next_id{1};
  check(requires_grad(), "register_hook: the variable requires no gradient");
  const uint64_t id = next_id++;
  state()->hooks.push_back({id, std::move(hook)});
  return HookHandle(state(), id);
}

void HookHandle::remove() {
  if (auto state = state_.lock())
    std::erase_if(state->hooks, [&](const HookEntry& entry) { return entry.id == id_; });
}

Variable Variable::detach() const { return Variable(value()); }

void Variable::notify_watcher() const {
  if (held_) TensorWatcher::notify(held_->value.storage(), held_->value.shape(), held_->value.dtype());
}

std::vector<Variable> without_repeats(const std::vector<Variable>& variables) {
  std::vector<Variable> once;
  std::set<const VariableState*> seen;
  for (const Variable& variable : variables) {
    if (seen.insert(variable.state().get()).second) once.push_back(variable);
  }
  return once;
}

}  // namespace nabla
