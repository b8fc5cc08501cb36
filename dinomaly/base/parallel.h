// The same work on each of many things, on all threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/threads.h"

namespace dinomaly {

// Calls work(i) for each i in [0, count), in any order and on several threads at a time. What it throws is thrown again when
// all are done, of several exceptions that of the smallest i.
template <class Work>
void for_each_in_parallel(size_t count, const Work& work) {
  nabla::parallel_tasks(static_cast<int64_t>(count), [&](int64_t i) { work(static_cast<size_t>(i)); });
}

}  // namespace dinomaly
