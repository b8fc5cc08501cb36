// Finds where a NaN comes from: while a DetectAnomaly lives, the first op that produces one throws.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nabla {

namespace detail {
inline constinit thread_local int anomaly_detectors = 0;
}

// While one of these lives (per thread), every op's output and every gradient that a backward returns is
// searched for NaN and infinity. The first one throws Error with the op's name, the index of the element, and
// the lines of the model that called the op, innermost first:
//   "log: the output holds -inf (first at index 3); called at nn/layers.cpp:57, examples/train_mvtec.cpp:41".
// For a gradient these are the lines of the forward call. Every op gets slower by a pass over its output.
// Lines need binutils' addr2line and a program with line tables (-g1, which the build sets).
class DetectAnomaly {
 public:
  DetectAnomaly() { ++detail::anomaly_detectors; }
  ~DetectAnomaly() { --detail::anomaly_detectors; }
  DetectAnomaly(const DetectAnomaly&) = delete;
  DetectAnomaly& operator=(const DetectAnomaly&) = delete;
  static bool enabled() { return detail::anomaly_detectors != 0; }
};

// The return addresses of the active calls, innermost first.
using CallStack = std::vector<void*>;
CallStack call_stack();

// "FILE:LINE" of each address, innermost first, without the lines of autograd/, tensor/, backends/ and of
// system headers; files of this tree are named from its root. Without addr2line: the functions' names.
std::vector<std::string> source_lines(const CallStack& stack);

// Throws the Error above if `output` holds a value that is not finite.
void check_output(const char* op, const Tensor& output);
// The same for a gradient of an op that was called at `forward`.
void check_gradient(const char* op, size_t input, const Tensor& gradient, const CallStack& forward);

}  // namespace nabla
