// The tape: what record() noted about every op, so that backward() can visit the ops in the reverse order of
// their creation. Each entry belongs to the variable it made. It is released with that variable or when
// backward() has passed it; neither the walk nor the release recurses, however long the chain.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/anomaly.h"
#include "autograd/grad_mode.h"
#include "autograd/saved_tensors.h"
#include "autograd/variable.h"

namespace nabla {

// The gradients of an op's inputs, in their order; an undefined one means none.
struct Gradients : std::vector<Tensor> {
  using std::vector<Tensor>::vector;
  Gradients(Tensor single) : std::vector<Tensor>{std::move(single)} {}
};
using Backward = std::function<Gradients(const Tensor& dy)>;

// One recorded op.
struct Node {
  ~Node();  // releases the inputs without recursion

  uint64_t order = 0;  // creation order: greater than that of every input
  const char* name = "";
  std::vector<std::shared_ptr<VariableState>> inputs;  // null: undefined
  std::vector<std::shared_ptr<VariableState>> more;  // to which `backward` gives gradients by gradients_of()
  Backward backward;
  std::vector<SavedTensor> saved;  // what `backward` has captured, each storage once
  CallStack called_at;             // empty unless anomalies are being detected
};

struct HookEntry {
  uint64_t id;
  Hook hook;
};

// A variable as the tape sees it: everything but the value, which belongs to the handles and to the ops that
// saved it. A value that no backward needs is freed as soon as the forward pass drops it.
struct VariableState {
  std::weak_ptr<HeldValue> held;
  Shape shape;
  Dtype dtype = Dtype::f32;
  Device device;
  std::string name;        // see Variable::name()
  uint64_t times_set = 0;  // calls of set_value()
  bool requires_grad = false;
  bool retain_grad = false;
  bool released = false;       // a non-leaf whose entry backward() has passed
  std::unique_ptr<Node> node;  // the op that made it; null for leaves and constants
  Tensor grad;
  std::vector<HookEntry> hooks;
  Tensor pending;  // the sum of the contributions so far, while backward() is on its way here
};

// What the handles of one variable share.
struct HeldValue {
  Tensor value;
  std::shared_ptr<VariableState> state;
  std::function<Tensor()> again;  // see record()
};

// An input as an op's backward keeps it: its value or, where the op that made it can cheaply recompute it
// from what it saved anyway, only the function that does so.
class Saved {
 public:
  Saved() = default;  // nothing
  explicit Saved(const Variable& x) : again_(x.again()), value_(again_ ? Tensor() : x.value()) {}
  Tensor get() const { return again_ ? again_() : value_; }

 private:
  std::function<Tensor()> again_;
  Tensor value_;
};

// Throws "WHO: ..." unless `gradient` can be one of `variable`: of its shape, dtype and device.
void check_gradient_fits(const char* who, const Tensor& gradient, const VariableState& variable);

// Gives `output` its entry on the tape, which notes the versions of what `backward` has captured: Tensors and
// Variables, found by copying the function once. `more` names what else gets gradients where `backward` calls
// gradients_of(): a leaf's sum is complete, and its hooks run, when no entry is left that would add to it.
void append_to_tape(const Variable& output, const char* name, const std::vector<Variable>& inputs,
                    Backward backward, std::vector<std::shared_ptr<VariableState>> more = {});

// For a backward that records a graph of its own and walks it: the gradients of the leaves `inputs`, given
// `gradient` of `output`; undefined for an input that no gradient reaches. Anything else the graph depends on
// (a parameter, a variable made before the op whose backward is running) gets its contributions in the
// enclosing walk, as if the graph were part of it: they are summed with those from elsewhere, and hooks see
// the sum. The op's entry has to name it (append_to_tape(), `more`). Throws outside a backward().
std::vector<Tensor> gradients_of(const Variable& output, Tensor gradient,
                                 const std::vector<Variable>& inputs);

// The number of live entries in the whole program.
int64_t tape_size();

// The order of the next entry.
uint64_t next_tape_order();

// Makes `value` the output of an op: a plain constant if no input requires a gradient or recording is off
// (no_grad), otherwise a variable with an entry on the tape. `backward` maps dy to the inputs' gradients, in
// the order of `inputs`; what it captures is the saved state. It captures Tensors, never the output Variable
// (that would be a reference cycle).
//
// `again`, where given, makes `value` anew, bit for bit, from what `backward` has captured too, at a cost
// that does not count beside a matrix product: what takes the output as its input then need not keep it.
template <class Function>
Variable record(const char* name, Tensor value, const std::vector<Variable>& inputs, Function backward,
                std::function<Tensor()> again = {}) {
  if (DetectAnomaly::enabled()) check_output(name, value);
  bool needed = false;
  if (GradMode::enabled()) {
    for (const Variable& input : inputs) needed = needed || (input.defined() && input.requires_grad());
  }
  Variable output(std::move(value), needed);
  if (!needed) return output;
  append_to_tape(output, name, inputs, Backward(std::move(backward)));
  output.set_again(std::move(again));
  return output;
}

// The output of a fast path without backward: throws "NAME: has no gradient" if one is asked of it. For ops
// written outside of this tree: here every op has its backward but quantized_linear, which refuses at the call, and what has
// no derivative (argmax, sort, compare) takes Tensors, so that no graph can be cut there.
Variable non_differentiable(const char* name, Tensor value, const std::vector<Variable>& inputs);

}  // namespace nabla
