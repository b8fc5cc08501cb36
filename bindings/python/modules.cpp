// The layers of nn/, initial values, moving averages.
#include <nanobind/stl/map.h>

#include "bindings/python/binding.h"
#include "nn/ema.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "nn/quantize.h"
#include "nn/transformer.h"

namespace dinomaly::python {

namespace {

using V = const Variable&;
using MaybeVariable = std::optional<Variable>;

Residual residual_of(const MaybeVariable& residual, const MaybeVariable& scale) {
  return {residual.value_or(Variable()), scale.value_or(Variable())};
}

nb::object defined(const Variable& variable) { return variable.defined() ? nb::cast(variable) : nb::none(); }

// In their order.
nb::dict dictionary(const NamedTensors& tensors) {
  nb::dict result;
  for (const auto& [name, tensor] : tensors) result[name.c_str()] = tensor;
  return result;
}

void bind_module(nb::module_& m) {
  nb::class_<Module>(m, "Layer", "A module of the framework: a tree of layers with named parameters.")
      .def("named_parameters", &Module::named_parameters, "Paths and variables, in order of declaration.")
      .def("parameters", &Module::parameters)
      .def(
          "state_dict", [](const Module& module) { return dictionary(module.state_dict()); },
          nb::sig("def state_dict(self) -> dict[str, Tensor]"),
          "The values under their paths; they share the parameters' memory.")
      .def("load_state_dict", &Module::load_state_dict, "values"_a, "source"_a = "state_dict",
           "Raises InputError naming what is missing, unexpected or misshapen, and then changes nothing.",
           computes())
      .def(
          "to",
          [](Module& module, const std::string& what) {
            to(
                what, [&](Dtype dtype) { module.to(dtype); }, [&](Device device) { module.to(device); });
          },
          "dtype_or_device"_a, computes())
      .def("train", &Module::train, "on"_a = true)
      .def("eval", &Module::eval)
      .def_prop_ro("training", &Module::training)
      .def("set_requires_grad", &Module::set_requires_grad, "on"_a);
}

// `then`: what the layer adds its output to, residual + scale * output.
template <class Layer, class Type>
void bind_branch(Type& type) {
  type.def(
      "__call__",
      [](const Layer& layer, V x, const MaybeVariable& residual, const MaybeVariable& scale) {
        return layer(x, residual_of(residual, scale));
      },
      "x"_a, "residual"_a = nb::none(), "scale"_a = nb::none(),
      "With a residual: residual + scale * (the layer of x).", computes());
}

void bind_layers(nb::module_& m) {
  nb::class_<Linear, Module> linear(m, "Linear",
                                    "y = x W^T + b; weight (out, in), bias (out). Starts at zero.");
  linear.def(nb::init<int64_t, int64_t, bool>(), "in_features"_a, "out_features"_a, "bias"_a = true)
      .def_ro("weight", &Linear::weight)
      .def_prop_ro("bias", [](const Linear& layer) { return defined(layer.bias); })
      .def_prop_ro("is_quantized", &Linear::is_quantized);
  bind_branch<Linear>(linear);
  nb::class_<LayerNorm, Module>(m, "LayerNorm", "Normalises the last axis.")
      .def(nb::init<int64_t, double>(), "width"_a, "eps"_a = 1e-6)
      .def("__call__", &LayerNorm::operator(), "x"_a, computes())
      .def_ro("weight", &LayerNorm::weight)
      .def_ro("bias", &LayerNorm::bias);
  nb::class_<LayerScale, Module>(m, "LayerScale", "x * gamma, one factor per channel.")
      .def(nb::init<int64_t, double>(), "width"_a, "start"_a = 1.0)
      .def("__call__", &LayerScale::operator(), "x"_a, computes())
      .def_ro("gamma", &LayerScale::gamma);
  nb::class_<Dropout, Module>(m, "Dropout", "Zeroes with probability p while training.")
      .def(nb::init<double>(), "p"_a)
      .def("__call__", &Dropout::operator(), "x"_a, "generator"_a, computes());
  nb::class_<Conv2d, Module>(m, "Conv2d", "x (B, in, H, W) -> (B, out, H', W').")
      .def(
          "__init__",
          [](Conv2d* self, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
             int64_t groups, bool bias) {
            new (self) Conv2d(in, out, kernel, {stride, stride, padding, padding, groups}, bias);
          },
          "in_channels"_a, "out_channels"_a, "kernel"_a, "stride"_a = 1, "padding"_a = 0, "groups"_a = 1,
          "bias"_a = true)
      .def("__call__", &Conv2d::operator(), "x"_a, computes())
      .def_ro("weight", &Conv2d::weight)
      .def_prop_ro("bias", [](const Conv2d& layer) { return defined(layer.bias); });
  nb::class_<PatchEmbed, Module>(m, "PatchEmbed", "x (B, channels, H, W) -> (B, H/patch * W/patch, width).")
      .def(nb::init<int64_t, int64_t, int64_t>(), "patch"_a, "width"_a, "channels"_a = 3)
      .def("__call__", &PatchEmbed::operator(), "images"_a, computes());
}

void bind_transformer(nb::module_& m) {
  nb::class_<Mlp, Module> mlp(m, "Mlp", "fc2(gelu(fc1(x)))");
  mlp.def(nb::init<int64_t, int64_t, bool>(), "width"_a, "hidden"_a, "bias"_a = true);
  bind_branch<Mlp>(mlp);
  nb::class_<SwiGLU, Module> swiglu(m, "SwiGLU", "w3(silu(a) * b) with [a | b] = w12(x)");
  swiglu.def(nb::init<int64_t, int64_t>(), "width"_a, "hidden"_a);
  bind_branch<SwiGLU>(swiglu);
  nb::class_<Attention, Module> attention(m, "Attention",
                                          "Softmax self-attention over the tokens of x (B, N, width).");
  attention.def(nb::init<int64_t, int64_t>(), "width"_a, "heads"_a);
  bind_branch<Attention>(attention);
  nb::class_<LinearAttention, Module> linear(m, "LinearAttention",
                                             "Linear self-attention: elu + 1 as feature map.");
  linear.def(nb::init<int64_t, int64_t, double>(), "width"_a, "heads"_a, "eps"_a = 1e-12);
  bind_branch<LinearAttention>(linear);
}

}  // namespace

void bind_modules(nb::module_& m) {
  bind_module(m);
  bind_layers(m);
  bind_transformer(m);
  nb::class_<ExponentialMovingAverage>(m, "ExponentialMovingAverage",
                                       "average = decay * average + (1 - decay) * value")
      .def(nb::init<const Module&, double>(), "module"_a, "decay"_a)
      .def("update", &ExponentialMovingAverage::update, "module"_a, computes())
      .def("copy_to", &ExponentialMovingAverage::copy_to, "module"_a, computes())
      .def(
          "state", [](const ExponentialMovingAverage& average) { return dictionary(average.state()); },
          nb::sig("def state(self) -> dict[str, Tensor]"));
  m.def("truncated_normal", &truncated_normal, "parameter"_a, "std"_a, "cut"_a, "generator"_a,
        "Normal values, redrawn while outside of [-cut, cut].", computes());
  m.def("xavier_uniform", &xavier_uniform, "weight"_a, "generator"_a,
        "Uniform in +-sqrt(6 / (fan_in + fan_out)).", computes());
  m.def(
      "quantize",
      [](Module& module, std::optional<nb::callable> run, double alpha) {
        std::function<void()> runs;
        if (run) {
          runs = [function = held(*run)] {
            const nb::gil_scoped_acquire acquired;
            (*function)();
          };
        }
        const Computing computing;
        quantize(module, runs, alpha);
      },
      "module"_a, "run"_a = nb::none(), "alpha"_a = 0.5,
      "Makes every Linear of a trained layer multiply int8, for inference. run() sends representative inputs "
      "through it.");
}

}  // namespace dinomaly::python
