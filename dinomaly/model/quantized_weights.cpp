#include "dinomaly/model/quantized_weights.h"

#include <algorithm>

#include "nn/quantize.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

constexpr const char* weight_name = ".weight";
constexpr const char* scale_name = ".weight_scale";
constexpr const char* input_name = ".input_scale";

// The tensor of that name, f32 (length) and finite, which is then no longer in the file; undefined where there is none.
Tensor take_scales(WeightsFile& file, const std::string& name, int64_t length) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) return {};
  Tensor scales = found->second;
  check_input(scales.dtype() == Dtype::f32 && scales.shape() == Shape{length},
              "{}: '{}' is {} {}, expected f32 ({})", file.source(), printable(name), scales.dtype(),
              scales.shape(), length);
  check_input(is_finite(scales), "{}: '{}' is not finite", file.source(), printable(name));
  file.tensors.erase(found);
  return scales;
}

}  // namespace

void quantize(Dinomaly& model, const std::vector<Tensor>& batches) {
  check_input(!model.config().feature_whitening,
              "int8: feature whitening enlarges what rounding changes; a model with it stays as it is");
  model.set_requires_grad(false);
  try {
    nabla::quantize(model, [&] {
      for (const Tensor& images : batches) model.reconstruct(model.encode(images));
    });
  } catch (const Error& error) {
    fail_input("the model cannot be quantised: {}", error.what());
  }
}

bool is_quantized(const Dinomaly& model) {
  const NamedTensors state = model.state_dict();
  return std::any_of(state.begin(), state.end(),
                     [](const auto& entry) { return entry.second.dtype() == Dtype::i8; });
}

NamedTensors state_of_quantized(const Dinomaly& model) {
  const std::vector<int64_t>& targets = model.config().target_blocks;
  const int64_t needed = *std::max_element(targets.begin(), targets.end()) + 1;
  NamedTensors state = model.state_dict();
  for (int64_t block = needed; block < model.encoder().config().depth; ++block) {
    const std::string name = "encoder.blocks." + std::to_string(block) + ".";
    std::erase_if(state, [&](const auto& entry) { return entry.first.starts_with(name); });
  }
  return state;
}

QuantizedLayers take_quantized(WeightsFile& file) {
  QuantizedLayers layers;
  for (auto& [name, tensor] : file.tensors) {
    if (tensor.dtype() != Dtype::i8) continue;
    check_input(name.ends_with(weight_name) && tensor.rank() == 2 && tensor.numel() > 0,
                "{}: '{}' is i8 {}: only weights of two axes are", file.source(), printable(name),
                tensor.shape());
    layers[name.substr(0, name.size() - std::string_view(weight_name).size())].weight = tensor;
    tensor = Tensor::zeros({1, 1}).expand(tensor.shape());
  }
  for (auto& [name, layer] : layers) {
    layer.scale = take_scales(file, name + scale_name, layer.weight.size(0));
    check_input(layer.scale.defined(), "{}: '{}' is i8, but '{}' is missing", file.source(),
                printable(name + weight_name), printable(name + scale_name));
    layer.input_scale = take_scales(file, name + input_name, layer.weight.size(1));
  }
  return layers;
}

void set_quantized(Dinomaly& model, const QuantizedLayers& layers, const std::string& source) {
  std::map<std::string, Module*> modules;
  for (const auto& [name, module] : model.modules()) modules[name] = module;
  for (const auto& [name, weights] : layers) {
    const auto found = modules.find(name);
    auto* layer = found == modules.end() ? nullptr : dynamic_cast<Linear*>(found->second);
    check_input(layer != nullptr && layer->weight.shape() == weights.weight.shape(),
                "{}: '{}' is i8, but is not the weight of a linear layer of this model", source,
                printable(name + weight_name));
    layer->quantize(weights);
  }
  if (layers.empty()) return;
  for (const auto& [name, module] : modules) {
    const auto* layer = dynamic_cast<const Linear*>(module);
    check_input(layer == nullptr || layer->is_quantized(),
                "{}: '{}' is not i8, as the other linear layers are", source, printable(name + weight_name));
  }
}

void check_not_quantized(const WeightsFile& file) {
  for (const auto& [name, tensor] : file.tensors) {
    check_input(tensor.dtype() != Dtype::i8,
                "{}: its weights are int8; this needs the model that they were made of", file.source());
  }
}

}  // namespace dinomaly
