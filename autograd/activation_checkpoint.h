// Checkpoints: memory for time. A part of a network keeps none of what its ops saved; backward() runs it once
// more and walks it then (Chen et al., "Training deep nets with sublinear memory cost", 2016).
#pragma once

#include <functional>
#include <vector>

#include "autograd/variable.h"
#include "tensor/random.h"

namespace nabla {

// function(inputs), with the same value and the same gradients, bit for bit, as if it had been called
// directly. Until backward() only the inputs' values are kept; forward and backward need the memory of this
// part's tape for as long as they work on it.
//
// `function` runs twice and must do the same both times. It may use parameters and other variables it has
// captured: they get their gradients, too. If it draws random numbers, `generator` is the one it draws from:
// the second run starts where the first one did, and afterwards the generator stands where it stood. It must
// live until backward() is through. Inputs may be undefined. Throws if the second run gives another shape.
Variable activation_checkpoint(std::function<Variable(const std::vector<Variable>&)> function,
                               const std::vector<Variable>& inputs, Generator* generator = nullptr);

}  // namespace nabla
