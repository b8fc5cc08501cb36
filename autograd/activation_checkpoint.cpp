#include "autograd/activation_checkpoint.h"

#include <utility>

#include "autograd/tape.h"

namespace nabla {

namespace {

// What an input is to the function: its value, and whether a gradient is wanted.
struct Input {
  Tensor value;
  bool requires_grad = false;
};

std::vector<Variable> fresh_leaves(const std::vector<Input>& inputs) {
  std::vector<Variable> leaves;
  for (const Input& input : inputs)
    leaves.push_back(input.value.defined() ? Variable(input.value, input.requires_grad) : Variable());
  return leaves;
}

// Rewinds a generator (null: none) to `start`; the destructor restores its position.
class Rewind {
 public:
  Rewind(Generator* generator, const Generator& start) : generator_(generator) {
    if (generator_ == nullptr) return;
    before_ = *generator_;
    *generator_ = start;
  }
  ~Rewind() {
    if (generator_ != nullptr) *generator_ = before_;
  }
  Rewind(const Rewind&) = delete;
  Rewind& operator=(const Rewind&) = delete;

 private:
  Generator* generator_;
  Generator before_;
};

}  // namespace

Variable activation_checkpoint(std::function<Variable(const std::vector<Variable>&)> function,
                               const std::vector<Variable>& inputs, Generator* generator) {
  if (!GradMode::enabled()) return function(inputs);
  std::vector<Input> kept;
  for (const Variable& input : inputs)
    kept.push_back(input.defined() ? Input{input.value(), input.requires_grad()} : Input{});
  const Generator start = generator != nullptr ? *generator : Generator();

  // Recorded, because only recording shows whether anything the function captures requires a gradient.
  const uint64_t begin = next_tape_order();
  std::vector<SavedTensor> read;
  const auto run = [&]() -> std::pair<Tensor, bool> {
    const Variable result = function(fresh_leaves(kept));
    if (result.requires_grad()) read = tensors_read(result, begin);
    return {result.value(), result.requires_grad()};
  };
  const auto [value, needed] = run();
  Variable output(value, needed);
  if (!needed) return output;
  std::vector<std::shared_ptr<VariableState>> captured;  // the parameters, say
  for (const SavedTensor& tensor : read) {
    auto variable = tensor.variable.lock();
    if (variable && variable->requires_grad) captured.push_back(std::move(variable));
  }
  append_to_tape(
      output, "checkpoint", inputs,
      [function = std::move(function), kept = std::move(kept), read = std::move(read), generator, start,
       shape = value.shape()](const Tensor& dy) {
        check_unchanged(read);
        const std::vector<Variable> leaves = fresh_leaves(kept);
        Variable again;
        {
          const Rewind rewind(generator, start);
          const EnableGrad recording;
          again = function(leaves);
        }
        check(again.shape() == shape, "checkpoint: the function gave {} first and {} now", shape,
              again.shape());
        Gradients gradients;
        for (Tensor& gradient : gradients_of(again, dy, leaves)) gradients.push_back(std::move(gradient));
        return gradients;
      },
      std::move(captured));
  return output;
}

}  // namespace nabla
