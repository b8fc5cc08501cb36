#include "autograd/saved_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "autograd/tape.h"

namespace nabla {

namespace {

// "its input 1 'fc1.weight', f32 (3, 4)"
std::string text_of(const SavedTensor& saved) {
  const auto variable = saved.variable.lock();
  const std::string name = variable && !variable->name.empty() ? fmt::format(" '{}'", variable->name) : "";
  const std::string which = saved.input == SavedTensor::output ? "its output"
                            : saved.input == SavedTensor::other
                                ? "a tensor it keeps"
                                : fmt::format("its input {}{}", saved.input, name);
  return fmt::format("{}, {} {},", which, saved.dtype, saved.shape);
}

// A variable that an op reads, saved or not.
SavedTensor read_by(const Node& node, int input, const std::shared_ptr<VariableState>& state,
                    const Tensor& value) {
  return {node.name,       input,           value.shape(), value.dtype(),
          value.storage(), value.version(), state,         state->times_set};
}

}  // namespace

std::vector<SavedTensor> saved_tensors(const char* name, const std::vector<TensorWatcher::Seen>& captured,
                                       const std::vector<Variable>& inputs, const Variable& output) {
  std::vector<SavedTensor> saved;
  saved.reserve(captured.size());
  for (const TensorWatcher::Seen& seen : captured) {
    SavedTensor tensor{name,         SavedTensor::other,      seen.shape, seen.dtype,
                       seen.storage, seen.storage->version(), {},         0};
    if (output.value().storage() == seen.storage)
      tensor.input = SavedTensor::output, tensor.shape = output.shape();
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].defined() || inputs[i].value().storage() != seen.storage) continue;
      tensor.input = static_cast<int>(i);
      tensor.shape = inputs[i].shape();
      if (inputs[i].is_leaf()) {
        tensor.variable = inputs[i].state();
        tensor.times_set = inputs[i].state()->times_set;
      }
      break;
    }
    saved.push_back(std::move(tensor));
  }
  return saved;
}

void check_unchanged(const std::vector<SavedTensor>& saved) {
  for (const SavedTensor& tensor : saved) {
    const auto storage = tensor.storage.lock();
    if (storage && storage->version() != tensor.version) {
      fail(
          "{}: {} was changed in place after the op had saved it for the backward pass: version {} then, {} "
          "now",
          tensor.op, text_of(tensor), tensor.version, storage->version());
    }
    const auto variable = tensor.variable.lock();
    if (variable && variable->times_set != tensor.times_set) {
      fail("{}: {} was given another value (set_value) after the op had saved it for the backward pass",
           tensor.op, text_of(tensor));
    }
  }
}

std::vector<SavedTensor> tensors_read(const Variable& output, uint64_t begin) {
  std::vector<SavedTensor> read;
  std::set<const VariableState*> visited;
  std::vector<const VariableState*> waiting{output.state().get()};
  while (!waiting.empty()) {
    const VariableState* const state = waiting.back();
    waiting.pop_back();
    if (!visited.insert(state).second || !state->node || state->node->order < begin) continue;
    const Node& node = *state->node;
    std::copy_if(
        node.saved.begin(), node.saved.end(), std::back_inserter(read),
        [&](const SavedTensor& tensor) { return tensor.storage.lock() != output.value().storage(); });
    const auto read_input = [&](int i, const std::shared_ptr<VariableState>& input) {
      if (!input) return;
      const auto held = input->held.lock();
      const bool from_outside = !input->node || input->node->order < begin;
      if (from_outside && held && held->value.defined()) read.push_back(read_by(node, i, input, held->value));
      if (!from_outside) waiting.push_back(input.get());
    };
    for (size_t i = 0; i < node.inputs.size(); ++i) read_input(static_cast<int>(i), node.inputs[i]);
    for (const auto& input : node.more) read_input(SavedTensor::other, input);
  }
  return read;
}

}  // namespace nabla
