// Blocks of threads, run one after the other on one thread of the host: each of their threads is a fiber that
// runs until it waits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>

namespace emulator {

// A GPU would have continued with undefined behaviour.
class Fault : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Runs `body` once for every thread of the grid. From block to block the threads' order changes: ascending, descending, the
// warps in a random order that changes at every barrier of the block, too. So a missing barrier shows whichever neighbour is waited for.
// Throws Fault if threads wait for others that never arrive.
void run_grid(const void* kernel, unsigned blocks, unsigned threads, size_t shared,
              const std::function<void()>& body);

// Where the random orders begin: the environment variable DINOMALY_EMULATED_SEED, or a number of its own in every run.
uint32_t seed_of_orders();

// Is told where threads of a kernel wait for each other.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void begin_kernel(const void* kernel) = 0;
  virtual void begin_block(const void* shared, size_t bytes) = 0;
  virtual void meet_block(const std::source_location& place) = 0;
  virtual void meet_warp(unsigned warp, const std::source_location& place) = 0;  // not for a shuffle
  virtual void end_block() = 0;                                                  // may throw Fault
};
void observe(Observer* observer);  // null: nobody

}  // namespace emulator
