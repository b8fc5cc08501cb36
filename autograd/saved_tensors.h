// What ops saved for the backward pass must be, when it comes, what it was: a value that was changed in place
// meanwhile would give wrong gradients, and nobody would notice. So the tape notes the version of each saved
// tensor's storage (Tensor::version()), and backward() compares.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/variable.h"
#include "tensor/watcher.h"

namespace nabla {

// A tensor as an op saw it. It does not keep the memory alive.
struct SavedTensor {
  static constexpr int output = -1, other = -2;

  const char* op;  // that saved it
  int input;       // which of the op's inputs has the same storage; or `output`: its output has; or `other`
  Shape shape;
  Dtype dtype;
  std::weak_ptr<Storage> storage;
  uint64_t version;  // of the storage then
  // That input: a leaf, or, from tensors_read(), any variable made before.
  std::weak_ptr<VariableState> variable;
  uint64_t times_set;  // of the variable then
};

// Of what a backward has captured, for the op `name` with these inputs and this output.
std::vector<SavedTensor> saved_tensors(const char* name, const std::vector<TensorWatcher::Seen>& captured,
                                       const std::vector<Variable>& inputs, const Variable& output);

// Throws "OP: ..." with the tensor and the versions if one of them was changed since: in place, through
// any view of its storage, or by Variable::set_value().
void check_unchanged(const std::vector<SavedTensor>& saved);

// What a part of a network reads, for somebody who will run it again: all that the ops which made `output`
// saved, and the variables they took from outside. The ops are those with an order from `begin` on
// (next_tape_order()). Of what they saved, the memory of `output` is left out: the second run makes it anew.
std::vector<SavedTensor> tensors_read(const Variable& output, uint64_t begin);

}  // namespace nabla
