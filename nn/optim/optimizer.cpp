#include "nn/optim/optimizer.h"

#include <cmath>

#include "tensor/elementwise.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace nabla {

namespace {
// The state is kept in f32 if the parameter is narrower.
Dtype state_dtype(const Variable& parameter) {
  return parameter.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32;
}
Tensor state_like(const Variable& parameter) {
  return Tensor::zeros(parameter.shape(), state_dtype(parameter), parameter.device());
}
void add_to(const Tensor& value, const Tensor& step) {
  if (value.is_contiguous() && value.dtype() == step.dtype())
    add_(value, step);
  else
    value.copy_from(value.to(step.dtype()) + step);
}
// Throws if the parameter was given a value that what is kept of it, in `dtype`, does not fit (set_value()).
void check_state(const Tensor& state, const Variable& parameter, Dtype dtype, size_t index) {
  check(state.shape() == parameter.shape() && state.dtype() == dtype && state.device() == parameter.device(),
        "optimizer: parameter {} is {} {} on {} now, its state is of {} {} on {}: make a new optimizer",
        index, parameter.dtype(), parameter.shape(), parameter.device(), state.dtype(), state.shape(),
        state.device());
}
// Each would be moved by the other's step, and the state of both would be wrong.
void check_apart(const Variable& a, const Variable& b) {
  check(!a.value().overlaps(b.value()),
        "optimizer: two parameters, {} {} and {} {}, share memory: list one variable twice, or give each its "
        "own",
        a.name(), a.shape(), b.name(), b.shape());
}
}  // namespace

Optimizer::Optimizer(std::vector<Variable> parameters) : parameters_(without_repeats(parameters)) {
  for (const Variable& parameter : parameters_) {
    check(parameter.is_leaf() && parameter.requires_grad(),
          "optimizer: a parameter is not a leaf that requires a gradient");
    check(!parameter.value().repeats_elements(),
          "optimizer: an expanded parameter of shape {} and strides {} cannot be written", parameter.shape(),
          parameter.value().strides());
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    for (size_t j = i + 1; j < parameters_.size(); ++j) check_apart(parameters_[i], parameters_[j]);
  }
}

void Optimizer::zero_grad() const {
  for (const Variable& parameter : parameters_) parameter.zero_grad();
}

NamedTensors Optimizer::state() {
  NamedTensors result{{"steps", Tensor::from(std::vector<int64_t>{steps()}, {1})}};
  for (const StateSlot& slot : state_slots()) {
    if (slot.tensor->defined()) result.emplace_back(slot.name, *slot.tensor);
  }
  return result;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state, const std::string& source) {
  const auto counted = state.find("steps");
  check_input(counted != state.end() && counted->second.rank() == 1 && counted->second.numel() == 1 &&
                  counted->second.dtype() == Dtype::i64 && counted->second.item() >= 0,
              "{}: the optimizer's state has no number of steps", source);
  const std::vector<StateSlot> slots = state_slots();
  size_t known = 1;
  std::map<size_t, std::string> begun;  // parameters of which something is kept
  for (const StateSlot& slot : slots)
    if (state.contains(slot.name)) begun.emplace(slot.parameter, slot.name);
  for (const StateSlot& slot : slots) {
    const auto found = state.find(slot.name);
    if (found == state.end()) {
      if (const auto other = begun.find(slot.parameter); other != begun.end())
        fail_input("{}: the optimizer's state has {} but not {}", source, other->second, slot.name);
      continue;
    }
    const Variable& parameter = parameters_[slot.parameter];
    check_input(found->second.shape() == parameter.shape() && found->second.dtype() == state_dtype(parameter),
                "{}: the optimizer's {} is {} {}, expected {} {}", source, slot.name, found->second.dtype(),
                found->second.shape(), state_dtype(parameter), parameter.shape());
    ++known;
  }
  check_input(known == state.size(), "{}: {} tensors of the optimizer's state are unknown", source,
              state.size() - known);
  for (const StateSlot& slot : slots) {
    const auto found = state.find(slot.name);
    *slot.tensor =
        found == state.end() ? Tensor() : found->second.to(parameters_[slot.parameter].device()).clone();
  }
  set_steps(static_cast<int64_t>(counted->second.item()));
}

SGD::SGD(std::vector<Variable> parameters, double momentum, double weight_decay)
    : Optimizer(std::move(parameters)),
      momentum_(momentum),
      weight_decay_(weight_decay),
      velocity_(parameters_.size()) {}

std::vector<Optimizer::StateSlot> SGD::state_slots() {
  std::vector<StateSlot> slots;
  for (size_t i = 0; i < velocity_.size(); ++i) {
    slots.push_back({fmt::format("velocity.{}", i), &velocity_[i], i});
  }
  return slots;
}

void SGD::step(double learning_rate, double gradient_scale) {
  ++steps_;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Variable& parameter = parameters_[i];
    if (!parameter.grad().defined()) continue;
    const Dtype dtype = state_dtype(parameter);
    Tensor update = parameter.grad().to(dtype) * gradient_scale + parameter.value().to(dtype) * weight_decay_;
    if (momentum_ != 0) {
      if (velocity_[i].defined()) check_state(velocity_[i], parameter, dtype, i);
      velocity_[i] = velocity_[i].defined() ? velocity_[i] * momentum_ + update : update;
      update = velocity_[i];
    }
    add_to(parameter.value(), update * -learning_rate);
  }
}

AdamW::AdamW(std::vector<Variable> parameters, AdamOptions options)
    : Optimizer(std::move(parameters)),
      options_(options),
      first_(parameters_.size()),
      second_(parameters_.size()) {}

std::vector<Optimizer::StateSlot> AdamW::state_slots() {
  std::vector<StateSlot> slots;
  for (size_t i = 0; i < first_.size(); ++i) {
    slots.push_back({fmt::format("first_moment.{}", i), &first_[i], i});
    slots.push_back({fmt::format("second_moment.{}", i), &second_[i], i});
  }
  return slots;
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++steps_;
  const auto [beta1, beta2, eps, weight_decay] = options_;
  const double correction1 = 1 - std::pow(beta1, steps_), correction2 = 1 - std::pow(beta2, steps_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Variable& parameter = parameters_[i];
    if (!parameter.grad().defined()) continue;
    if (!first_[i].defined()) first_[i] = state_like(parameter), second_[i] = state_like(parameter);
    check_state(first_[i], parameter, state_dtype(parameter), i);
    const Tensor gradient = parameter.grad().to(state_dtype(parameter)) * gradient_scale;
    first_[i] = first_[i] * beta1 + gradient * (1 - beta1);
    second_[i] = second_[i] * beta2 + gradient * gradient * (1 - beta2);
    const Tensor denominator = unary(Unary::sqrt, second_[i] * (1 / correction2)) + eps;
    const Tensor update = first_[i] / denominator * (-learning_rate / correction1);
    const Tensor decayed = parameter.value().to(state_dtype(parameter)) * (1 - learning_rate * weight_decay);
    parameter.value().copy_from(decayed + update);
  }
}

namespace {
std::vector<Variable> all_of(const std::vector<ParameterGroup>& groups) {
  std::vector<Variable> all;
  for (const ParameterGroup& group : groups)
    all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  return all;
}
}  // namespace

StableAdamW::StableAdamW(const std::vector<Variable>& parameters, const StableAdamWOptions& options)
    : StableAdamW(std::vector<ParameterGroup>{{parameters, 1}}, options) {}

StableAdamW::StableAdamW(const std::vector<ParameterGroup>& groups, const StableAdamWOptions& options)
    : Optimizer(all_of(groups)), options_(options), slots_(parameters_.size()) {
  const Device device = parameters_.empty() ? Device::cpu() : parameters_[0].device();
  std::vector<ParameterGroup> so_far;
  for (const ParameterGroup& group : groups) {
    const size_t begin = groups_.empty() ? 0 : groups_.back().end;
    so_far.push_back(group);
    groups_.push_back({group.rate_factor, begin, without_repeats(all_of(so_far)).size(),
                       Tensor::zeros({2}, Dtype::f64, device)});
  }
  check(!groups_.empty(), "optimizer: there must be at least one group of parameters");
}

std::vector<Optimizer::StateSlot> StableAdamW::state_slots() {
  std::vector<StateSlot> slots;
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots.push_back({fmt::format("first_moment.{}", i), &slots_[i].first_moment, i});
    slots.push_back({fmt::format("second_moment.{}", i), &slots_[i].second_moment, i});
    if (options_.amsgrad)
      slots.push_back({fmt::format("max_second_moment.{}", i), &slots_[i].max_second_moment, i});
    if (parameters_[i].dtype() == Dtype::bf16)
      slots.push_back({fmt::format("master.{}", i), &slots_[i].master, i});
  }
  return slots;
}

int64_t StableAdamW::steps() const {
  return static_cast<int64_t>(groups_[0].rate_and_step.slice(0, 1, 2).item());
}

void StableAdamW::set_steps(int64_t steps) {
  for (const Group& group : groups_) group.rate_and_step.slice(0, 1, 2).fill(static_cast<double>(steps));
}

void StableAdamW::step(double learning_rate, double gradient_scale) {
  prepare(learning_rate);
  update(Tensor::full({1}, gradient_scale, Dtype::f64, groups_[0].rate_and_step.device()));
}

void StableAdamW::prepare(double learning_rate) {
  for (const Group& group : groups_)
    group.rate_and_step.slice(0, 0, 1).copy_from(
        Tensor::full({1}, learning_rate * group.rate_factor, Dtype::f64));
}

void StableAdamW::update(const Tensor& gradient_scale) {
  const Tensor counts = compare(Compare::equal, gradient_scale, gradient_scale).to(Dtype::f64);  // NaN: 0
  for (const Group& group : groups_) {
    add_(group.rate_and_step.slice(0, 1, 2), counts);
    update(group, gradient_scale);
  }
}

AdamSlot& StableAdamW::slot_of(size_t i) {
  const Variable& parameter = parameters_[i];
  AdamSlot& slot = slots_[i];
  if (!slot.first_moment.defined()) {
    slot.first_moment = state_like(parameter);
    slot.second_moment = state_like(parameter);
    if (options_.amsgrad) slot.max_second_moment = state_like(parameter);
    if (parameter.dtype() == Dtype::bf16) slot.master = parameter.value().to(Dtype::f32);
  }
  check_state(slot.first_moment, parameter, state_dtype(parameter), i);
  slot.parameter = parameter.value();
  return slot;
}

void StableAdamW::update(const Group& group, const Tensor& gradient_scale) {
  std::vector<AdamSlot> active;
  std::vector<Tensor> written;  // the parameters, whatever their strides
  for (size_t i = group.begin; i < group.end; ++i) {
    if (!parameters_[i].grad().defined()) continue;
    const AdamSlot& slot = slot_of(i);
    active.push_back(slot);
    written.push_back(slot.parameter);
    active.back().parameter = slot.parameter.contiguous();  // the kernel reads no strides
    active.back().gradient = parameters_[i].grad().contiguous();
    if (!options_.amsgrad) active.back().max_second_moment = slot.second_moment;
  }
  if (active.empty()) return;
  const StableAdamWArgs args{options_.beta1, options_.beta2, options_.eps, options_.weight_decay};
  kernels_for(active[0].parameter).stable_adamw(active, args, group.rate_and_step, gradient_scale);
  for (size_t i = 0; i < active.size(); ++i) {
    if (active[i].parameter.is_same_view(written[i]))
      written[i].mark_written();
    else
      written[i].copy_from(active[i].parameter);
  }
}

}  // namespace nabla
