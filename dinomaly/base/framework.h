// The detector uses the framework's names (Tensor, Variable, check, the ops) unqualified. Every file of
// dinomaly/ that includes a header of tensor/, autograd/ or nn/ includes this one too.
#pragma once

namespace nabla {}

namespace dinomaly {
using namespace nabla;
}
