// The same work on each of many things, on all threads.
#pragma once

#include <cstddef>
#include <exception>
#include <vector>

#include "tensor/threads.h"

namespace dinomaly {

// Calls work(i) for each i in [0, count), in any order and on several threads at a time. An exception must not leave a
// parallel region: the one of the smallest i is thrown when all are done.
template <class Work>
void for_each_in_parallel(size_t count, const Work& work) {
  std::vector<std::exception_ptr> errors(count);
  nabla::parallel_tasks(static_cast<int64_t>(count), [&](int64_t task) {
    const auto i = static_cast<size_t>(task);
    try {
      work(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace dinomaly
