// The tape as an image.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace nabla {

// What `root` was made of, in the language of Graphviz (`dot -Tsvg`): an ellipse for each recorded op, with
// name, shape and dtype of its output, and the bytes its backward keeps in memory; a box for each variable
// that no recorded op made. Edges follow the forward pass. Each memory block counts once an op, whole, even
// if a view of it was saved; blocks that are also a leaf's value, which cost nothing more, are told apart. A
// block that several ops saved counts at each.
// `names`, for example a module's named_parameters(), are written into the boxes. Ops are numbered in order
// of creation, boxes in order of their first use, so that equal graphs give equal text. Draw before
// backward(), which releases the tape.
std::string to_graphviz(const Variable& root,
                        const std::vector<std::pair<std::string, Variable>>& names = {});

}  // namespace nabla
