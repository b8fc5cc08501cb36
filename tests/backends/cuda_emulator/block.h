// Blocks of threads, run one after the other on one thread of the host: each of their threads is a fiber that
// runs until it waits.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <stdexcept>

namespace emulator {

// A GPU would have continued with undefined behaviour.
class Fault : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Runs `body` once for every thread of the grid. Threads start in ascending order in every other block and in
// descending order in the rest, so that a missing barrier shows whichever neighbour is waited for. Throws
// Fault if threads wait for others that never arrive.
void run_grid(unsigned blocks, unsigned threads, size_t shared, const std::function<void()>& body);

}  // namespace emulator
