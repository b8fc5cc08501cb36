#include "nn/module.h"

#include <fmt/format.h>

#include <functional>
#include <set>

#include "tensor/backend.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace nabla {

namespace {

// "3 missing (a, b, c, ...)": the number, and the first five names.
std::string listed(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const size_t shown = std::min<size_t>(names.size(), 5);
  return fmt::format("; {} {}: {}{}", names.size(), what,
                     fmt::join(names.begin(), names.begin() + shown, ", "),
                     names.size() > shown ? ", ..." : "");
}

// Replaces a module's parameters and returns the memory of the old ones to the system: a model's weights are
// the largest thing a program holds, and blocks of their sizes are not requested again.
void replace(const std::vector<Variable>& parameters, const std::function<Tensor(const Tensor&)>& change) {
  for (const Variable& parameter : parameters) {
    const Tensor before = parameter.value();
    parameter.set_value(change(before));
    if (parameter.value().storage() != before.storage()) before.storage()->evict();
  }
  if (!parameters.empty()) backend_for(Device::cpu()).allocator().release_cached();
}

}  // namespace

// What the whole tree holds of one kind; what is tied, under each of its names.
Module::Named Module::named(Named Module::*own) const {
  Named all = this->*own;
  for (const auto& [name, child] : children_) {
    for (auto& [path, value] : child->named(own)) all.emplace_back(name + "." + path, value);
  }
  return all;
}

std::vector<std::pair<std::string, Module*>> Module::modules() {
  std::vector<std::pair<std::string, Module*>> all{{"", this}};
  for (const auto& [name, child] : children_) {
    for (const auto& [path, module] : child->modules())
      all.emplace_back(path.empty() ? name : name + "." + path, module);
  }
  return all;
}

std::vector<std::pair<std::string, Variable>> Module::named_parameters() const {
  Named all = named(&Module::parameters_);
  std::set<const VariableState*> seen;
  std::erase_if(all, [&](const auto& entry) { return !seen.insert(entry.second.state().get()).second; });
  return all;
}

std::vector<Variable> Module::parameters() const {
  std::vector<Variable> all;
  for (auto& [name, value] : named_parameters()) all.push_back(value);
  return all;
}

NamedTensors Module::state_dict() const {
  NamedTensors all;
  for (auto& [name, parameter] : named(&Module::parameters_)) all.emplace_back(name, parameter.value());
  for (auto& [name, buffer] : named(&Module::buffers_)) all.emplace_back(name, buffer.value());
  return all;
}

void Module::load_state_dict(const std::map<std::string, Tensor>& values, const std::string& source) {
  std::vector<std::string> missing, misshapen, unexpected;
  std::map<std::string, Variable> wanted;
  Named held = named(&Module::parameters_);
  for (auto& entry : named(&Module::buffers_)) held.push_back(std::move(entry));
  for (auto& [name, parameter] : held) {
    wanted.emplace(name, parameter);
    auto found = values.find(name);
    if (found == values.end()) {
      missing.push_back(name);
    } else if (found->second.shape() != parameter.shape()) {
      misshapen.push_back(fmt::format("{} is {}, not {}", name, found->second.shape(), parameter.shape()));
    }
  }
  for (const auto& [name, value] : values) {
    if (!wanted.contains(name)) unexpected.push_back(printable(name));
  }
  check_input(missing.empty() && misshapen.empty() && unexpected.empty(),
              "{}: the weights do not fit the model{}{}{}", source, listed("missing", missing),
              listed("misshapen", misshapen), listed("unexpected", unexpected));
  for (auto& [name, parameter] : wanted) {
    const Tensor value = values.at(name).to(parameter.device()).to(parameter.dtype());
    parameter.set_value(parameter.requires_grad() ? value.clone() : value);
    if (parameter.requires_grad()) value.storage()->evict();  // the trained copy is all that is needed
  }
  backend_for(Device::cpu()).allocator().release_cached();
}

void Module::to(Dtype dtype) {
  replace(parameters(),
          [&](const Tensor& value) { return is_floating(value.dtype()) ? value.to(dtype) : value; });
}

void Module::to(Device device) {
  replace(parameters(), [&](const Tensor& value) { return value.to(device); });
}

void Module::train(bool on) {
  training_ = on;
  for (auto& [name, child] : children_) child->train(on);
}

void Module::set_requires_grad(bool on) {
  for (auto& parameter : parameters()) parameter.set_requires_grad(on);
}

}  // namespace nabla
