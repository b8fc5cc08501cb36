// nn/optim: optimizers, clipping, the schedule.
#include <nanobind/stl/map.h>

#include "bindings/python/binding.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"

namespace dinomaly::python {

void bind_optimizers(nb::module_& m) {
  using Parameters = std::vector<Variable>;
  nb::class_<Optimizer>(m, "Optimizer",
                        "Updates parameters from their gradients. Those without a gradient are left alone.")
      .def("step", &Optimizer::step, "learning_rate"_a, "gradient_scale"_a = 1.0, computes())
      .def("zero_grad", &Optimizer::zero_grad)
      .def(
          "state",
          [](Optimizer& optimizer) {
            const NamedTensors state = optimizer.state();
            return std::map<std::string, Tensor>(state.begin(), state.end());
          },
          "What later steps depend on besides the parameters; the tensors share the optimizer's memory.")
      .def("load_state", &Optimizer::load_state, "state"_a, "source"_a = "state", computes());
  nb::class_<SGD, Optimizer>(m, "SGD").def(nb::init<Parameters, double, double>(), "parameters"_a,
                                           "momentum"_a = 0.0, "weight_decay"_a = 0.0);
  const AdamOptions adam;
  nb::class_<AdamW, Optimizer>(m, "AdamW", "Loshchilov and Hutter 2019.")
      .def(
          "__init__",
          [](AdamW* self, const Parameters& parameters, double beta1, double beta2, double eps,
             double weight_decay) {
            new (self) AdamW(parameters, {beta1, beta2, eps, weight_decay});
          },
          "parameters"_a, "beta1"_a = adam.beta1, "beta2"_a = adam.beta2, "eps"_a = adam.eps,
          "weight_decay"_a = adam.weight_decay);
  nb::class_<StableAdamW, Optimizer>(m, "StableAdamW",
                                     "Wortsman et al. 2023, with AMSGrad as the authors of Dinomaly use it.")
      .def(
          "__init__",
          [](StableAdamW* self, const Parameters& parameters, double beta1, double beta2, double eps,
             double weight_decay, bool amsgrad) {
            new (self) StableAdamW(parameters, {beta1, beta2, eps, weight_decay, amsgrad});
          },
          "parameters"_a, "beta1"_a = adam.beta1, "beta2"_a = adam.beta2, "eps"_a = adam.eps,
          "weight_decay"_a = adam.weight_decay, "amsgrad"_a = true);
  m.def("grad_norm", &grad_norm, "parameters"_a, "The L2 norm of all gradients together.", computes());
  m.def("clip_grad_norm", &clip_grad_norm, "parameters"_a, "max_norm"_a,
        "Scales the gradients in place so that their norm is at most max_norm, and returns the norm before "
        "that.",
        computes());
  nb::class_<WarmCosineSchedule>(m, "WarmCosineSchedule",
                                 "Linear warm-up, then half a cosine: schedule(step).")
      .def(
          "__init__",
          [](WarmCosineSchedule* self, double peak, double last, int64_t warmup, int64_t total) {
            new (self) WarmCosineSchedule{peak, last, warmup, total};
          },
          "peak"_a = 2e-3, "final"_a = 2e-4, "warmup_steps"_a = 100, "total_steps"_a = 10000)
      .def("__call__", &WarmCosineSchedule::operator(), "step"_a);
}

}  // namespace dinomaly::python
