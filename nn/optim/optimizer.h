// Optimizers: they update parameters from their gradients. Parameters without a gradient are left alone; one that is
// listed twice (tied weights) counts once. Values and gradients may have any strides, but an expanded value, several
// of whose elements are one in memory, is refused, and so are two parameters whose memory, from first to last element,
// overlaps. A step changes the values in place: a graph whose ops saved them
// refuses to go backward afterwards.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "nn/module.h"
#include "tensor/kernel_args.h"

namespace nabla {

class Optimizer {
 public:
  explicit Optimizer(std::vector<Variable> parameters);
  virtual ~Optimizer() = default;

  // One step with the current gradients, each multiplied by gradient_scale (clipping) first.
  virtual void step(double learning_rate, double gradient_scale = 1.0) = 0;
  void zero_grad() const;

  // Everything that later steps depend on besides the parameters: "steps" (1) i64, and "NAME.I" for
  // what is kept of parameter I (its shape; f32, or f64 for an f64 parameter). The tensors share
  // the optimizer's memory.
  NamedTensors state();
  // Continues from what state() returned (copied). Of each parameter there is all that an optimizer of this kind and
  // these options keeps, or nothing. Throws InputError naming `source` and the tensor that is unknown, missing, or of
  // another shape or dtype, and then changes nothing.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 protected:
  struct StateSlot {
    std::string name;
    Tensor* tensor;    // undefined until the parameter's first step
    size_t parameter;  // whose shape it has
  };
  // Every slot that holds state once its parameter has had a step.
  virtual std::vector<StateSlot> state_slots() = 0;
  // The steps taken so far.
  virtual int64_t steps() const { return steps_; }
  virtual void set_steps(int64_t steps) { steps_ = steps; }

  std::vector<Variable> parameters_;
  int64_t steps_ = 0;
};

// p -= lr * (g + weight_decay * p), or with momentum m: v = m v + (g + weight_decay p), p -= lr v.
class SGD : public Optimizer {
 public:
  explicit SGD(std::vector<Variable> parameters, double momentum = 0, double weight_decay = 0);
  void step(double learning_rate, double gradient_scale = 1.0) override;

 private:
  std::vector<StateSlot> state_slots() override;
  double momentum_, weight_decay_;
  std::vector<Tensor> velocity_;
};

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-4;
};

// AdamW (Loshchilov and Hutter 2019): p *= 1 - lr wd; m, v moving averages of g, g^2;
// p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps).
class AdamW : public Optimizer {
 public:
  explicit AdamW(std::vector<Variable> parameters, AdamOptions options = {});
  void step(double learning_rate, double gradient_scale = 1.0) override;

 private:
  std::vector<StateSlot> state_slots() override;
  AdamOptions options_;
  std::vector<Tensor> first_, second_;
};

struct StableAdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-4;
  bool amsgrad = true;  // false: vmax = v
};

// Parameters whose learning rate is rate_factor times that of a step.
struct ParameterGroup {
  std::vector<Variable> parameters;
  double rate_factor = 1;
};

// StableAdamW (Wortsman et al. 2023), with AMSGrad as the authors of Dinomaly use it: p *= 1 - lr wd; m, v as
// Adam; vmax = max(vmax, v); denom = sqrt(vmax) / sqrt(1 - b2^t) + eps; r = max(1, rms(g / denom)) per
// tensor; p -= lr / (1 - b1^t) / r * m / denom. For bf16 parameters the steps add up in an f32 copy. A step whose
// gradient_scale is NaN, as that of gradients which are not finite is, changes nothing and does not count.
class StableAdamW : public Optimizer {
 public:
  explicit StableAdamW(const std::vector<Variable>& parameters, const StableAdamWOptions& options = {});
  // A parameter that is listed twice belongs to its first group.
  StableAdamW(const std::vector<ParameterGroup>& groups, const StableAdamWOptions& options);
  void step(double learning_rate, double gradient_scale = 1.0) override;

  // A step in two parts: prepare() takes its learning rate; update() counts it and changes the
  // parameters, reads nothing on the host and can be recorded (tensor/kernels.h). gradient_scale (1) of
  // f64 on their device.
  void prepare(double learning_rate);
  void update(const Tensor& gradient_scale);

 private:
  struct Group {
    double rate_factor;
    size_t begin, end;     // of its parameters
    Tensor rate_and_step;  // (2) of f64, on their device
  };
  std::vector<StateSlot> state_slots() override;
  int64_t steps() const override;
  void set_steps(int64_t steps) override;
  AdamSlot& slot_of(size_t parameter);  // its state, made at the first call
  void update(const Group& group, const Tensor& gradient_scale);

  StableAdamWOptions options_;
  std::vector<AdamSlot> slots_;  // moments are allocated at the first step
  std::vector<Group> groups_;
};

}  // namespace nabla
