// Activation checkpointing trades time for memory. Part of a network discards what its ops saved;
// backward() runs it a second time and then walks it (Chen et al., "Training deep nets with sublinear
// memory cost", 2016).
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
// captured: they also get their gradients. If it draws random numbers, `generator` is the one it draws from:
// the second run starts where the first one did, and then the generator's position is restored. It must live
// until backward() has finished. Inputs may be undefined. Throws if the second run gives another shape, and if
// what an op read at the first run (a parameter, say) was changed in place since.
Variable activation_checkpoint(std::function<Variable(const std::vector<Variable>&)> function,
                               const std::vector<Variable>& inputs, Generator* generator = nullptr);

}  // namespace nabla
