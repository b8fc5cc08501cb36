#include "nn/ema.h"

#include "tensor/error.h"
#include "tensor/ops.h"

namespace nabla {

namespace {

std::vector<std::pair<std::string, Variable>> matching_parameters(const Module& module,
                                                                  const NamedTensors& averages) {
  auto parameters = module.named_parameters();
  bool fits = parameters.size() == averages.size();
  for (size_t i = 0; fits && i < parameters.size(); ++i)
    fits = parameters[i].first == averages[i].first &&
           parameters[i].second.shape() == averages[i].second.shape();
  check(fits, "moving average: the module's parameters are not those it began with");
  return parameters;
}

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(const Module& module, double decay) : decay_(decay) {
  check(decay >= 0 && decay < 1, "moving average: a decay of {} is not in [0, 1)", decay);
  for (const auto& [name, parameter] : module.named_parameters()) {
    const Dtype dtype = parameter.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32;
    averages_.emplace_back(name, parameter.value().to(dtype).clone());
  }
}

void ExponentialMovingAverage::update(const Module& module) {
  const auto parameters = matching_parameters(module, averages_);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& average = averages_[i].second;
    add_(average, (parameters[i].second.value().to(average.dtype()) - average) * (1 - decay_));
  }
}

void ExponentialMovingAverage::copy_to(const Module& module) const {
  const auto parameters = matching_parameters(module, averages_);
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i].second.value().copy_from(averages_[i].second);
}

void ExponentialMovingAverage::load_state(const std::map<std::string, Tensor>& state,
                                          const std::string& source) {
  for (const auto& [name, average] : averages_) {
    const auto found = state.find(name);
    check_input(found != state.end(), "{}: the average of '{}' is missing", source, name);
    check_input(found->second.shape() == average.shape() && found->second.dtype() == average.dtype(),
                "{}: the average of '{}' is {} {}, expected {} {}", source, name, found->second.dtype(),
                found->second.shape(), average.dtype(), average.shape());
  }
  check_input(state.size() == averages_.size(), "{}: {} averages are unknown", source,
              state.size() - averages_.size());
  for (const auto& [name, average] : averages_) average.copy_from(state.at(name));
}

}  // namespace nabla
