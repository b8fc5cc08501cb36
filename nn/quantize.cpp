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
  const Tensor columns = reduce(Reduce::max, unary(Unary::abs, weight), {0}, false);
  const std::vector<float> of_x = largest.to_vector<float>(), of_weight = columns.to_vector<float>();
  std::vector<float> scales;
  for (size_t j = 0; j < of_x.size(); ++j) {
    const double s = std::pow(of_x[j], alpha) / std::pow(of_weight[j], 1 - alpha);
    scales.push_back(std::isnormal(static_cast<float>(s)) ? static_cast<float>(s) : 1.0f);
  }
  return Tensor::from(scales, {static_cast<int64_t>(scales.size())});
}

void quantize(Module& module, const std::function<void()>& run, double alpha) {
  const NoGrad no_recording;
  const auto layers = linear_layers(module);
  for (const auto& [name, layer] : layers) layer->watch_inputs(true);
  try {
    if (run) run();
  } catch (...) {
    for (const auto& [name, layer] : layers) layer->watch_inputs(false);
    throw;
  }
  for (const auto& [name, layer] : layers) {
    const Device device = layer->weight.device();
    const Tensor largest = layer->largest_input.defined() ? layer->largest_input.to(Device::cpu()) : Tensor();
    layer->watch_inputs(false);
    layer->largest_input = Tensor();
    const Tensor weight = layer->weight.value().to(Device::cpu()).to(Dtype::f32);
    Tensor scales, smooth = weight;
    if (largest.defined()) {
      check(is_finite(largest), "quantize: the input of {} is not finite", name);
      scales = smoothing_scales(weight, largest, alpha);
      smooth = weight * scales.reshape({1, scales.size(0)});
      scales = binary(Binary::div, Tensor::ones(scales.shape()), scales).to(device);
    }
    QuantizedWeights quantized = quantize_weight(smooth.contiguous());
    layer->quantize({quantized.weight.to(device), quantized.scale.to(device), {}, scales});
  }
}

}  // namespace nabla
