// Libraries on one thread. Loops over all threads are in tensor/threads.h.
#pragma once

#include <omp.h>

#include "tensor/threads.h"

namespace nabla {

// While it lives, loops of this thread and libraries that it calls (oneDNN and Eigen, by way of OpenMP) use this thread
// alone. What they choose by the number of threads, such as the order of a sum, then depends on it no more.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
  SerialLoops loops_;
};

}  // namespace nabla
