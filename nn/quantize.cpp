#include "nn/quantize.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "tensor/error.h"
#include "tensor/ops.h"

namespace nabla {

namespace {

std::vector<std::pair<std::string, Linear*>> linear_layers(Module& module) {
  std::vector<std::pair<std::string, Linear*>> layers;
  for (const auto& [name, part] : module.modules()) {
    if (auto* layer = dynamic_cast<Linear*>(part)) layers.emplace_back(name, layer);
  }
  return layers;
}

}  // namespace

Tensor smoothing_scales(const Tensor& weight, const Tensor& largest, double alpha) {
  check(weight.rank() == 2 && largest.rank() == 1 && largest.size(0) == weight.size(1),
        "smoothing_scales: largest {} does not fit the inputs of a weight {}", largest.shape(),
        weight.shape());
  const Tensor columns = reduce(Reduce::max, unary(Unary::abs, weight), {0}, false);
  const std::vector<float> of_x = largest.to_vector<float>(), of_weight = columns.to_vector<float>();
  std::vector<float> scales;
  for (size_t j = 0; j < of_x.size(); ++j) {
    const double s = std::pow(of_x[j], alpha) / std::pow(of_weight[j], 1 - alpha);
    scales.push_back(std::isnormal(static_cast<float>(s)) ? static_cast<float>(s) : 1.0f);
  }
  return Tensor::from(scales, {static_cast<int64_t>(scales.size())});
}

// The weight, with its input scale where its inputs have been watched.
static QuantizedWeights quantized(const Tensor& weight, const Tensor& largest, double alpha) {
  if (!largest.defined()) return quantize_weight(weight.contiguous());
  const Tensor scales = smoothing_scales(weight, largest, alpha);
  const Tensor smooth = weight * scales.reshape({1, scales.size(0)});
  QuantizedWeights result = quantize_weight(smooth.contiguous());
  result.input_scale = binary(Binary::div, Tensor::ones(scales.shape()), scales);
  return result;
}

void quantize(Module& module, const std::function<void()>& run, double alpha) {
  const NoGrad no_recording;
  const auto layers = linear_layers(module);
  const auto watch = [&](bool on) {
    for (const auto& [name, layer] : layers) layer->watch_inputs(on);
  };
  for (const auto& [name, layer] : layers)
    check(!layer->is_quantized(), "quantize: {} is int8 already", name);
  watch(true);
  try {
    if (run) run();
    for (const auto& [name, layer] : layers) {
      check(!layer->largest_input.defined() || is_finite(layer->largest_input),
            "quantize: the input of {} is not finite", name);
    }
  } catch (...) {
    watch(false);
    throw;
  }
  watch(false);
  for (const auto& [name, layer] : layers) {
    const Tensor before = layer->weight.value();
    const Device device = before.device();
    const auto here = [](const Tensor& x) { return x.defined() ? x.to(Device::cpu()).to(Dtype::f32) : x; };
    const QuantizedWeights made = quantized(here(before), here(layer->largest_input), alpha);
    const auto there = [&](const Tensor& x) { return x.defined() ? x.to(device) : x; };
    layer->quantize({made.weight.to(device), made.scale.to(device), {}, there(made.input_scale)});
    layer->largest_input = Tensor();
    before.storage()->evict_unwritten();  // a mapped checkpoint is not read again
  }
}

}  // namespace nabla
