// The tape as a drawing.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace nabla {

// How `root` was computed, in the language of Graphviz (`dot -Tsvg`): an ellipse for each recorded op, with
// name, shape and dtype of its output, and the bytes its backward keeps in memory; a box for each variable
// that no recorded op made. Edges follow the forward pass. Each memory block counts once per op, whole, even
// if only a view of it was saved. Blocks that are also a leaf's value cost nothing extra and are shown
// separately. A block saved by several ops counts at each of them. `names`, for example a module's
// named_parameters(), are written into the boxes. Ops are numbered in order of creation, boxes in order of
// their first use, so that equal graphs give equal text. Draw before backward(), which releases the tape.
std::string to_graphviz(const Variable& root,
                        const std::vector<std::pair<std::string, Variable>>& names = {});

}  // namespace nabla
