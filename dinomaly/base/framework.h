// The detector is written in the framework's words: Tensor, Variable, check and the ops are used unqualified.
// Every file of dinomaly/ that includes a header of tensor/, autograd/ or nn/ includes this one too.
#pragma once

namespace nabla {}

namespace dinomaly {
using namespace nabla;
}
