// Loops over all processors (OpenMP). For the host only.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace nabla {

// Elements of work below which starting the other threads costs more than it saves.
inline constexpr int64_t parallel_grain = 32768;

// Calls body(begin, end) on consecutive pieces of [0, count), one piece per thread, all of them at once if
// if there is more than `grain` to do and this is not already inside such a loop. Pieces begin at multiples
// of `align` and depend on the number of threads: what is added up must not be added up over a piece. `body`
// must not throw.
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body, int64_t align = 1) {
  if (count <= 0) return;
  // Not inlined, or there would be two copies of the body: one for a single thread, one for many.
  const auto run = [&](int64_t begin, int64_t end) __attribute__((noinline)) { body(begin, end); };
  const int threads = omp_get_max_threads();
  if (count <= grain || threads == 1 || omp_in_parallel()) {
    run(0, count);
    return;
  }
  // Always the whole team: GNU's OpenMP ends and restarts threads when the team's size changes.
#pragma omp parallel num_threads(threads)
  {
    const int64_t pieces = omp_get_num_threads();
    const int64_t piece = ((count + pieces - 1) / pieces + align - 1) / align * align;
    const int64_t begin = piece * omp_get_thread_num();
    const int64_t end = std::min(begin + piece, count);
    if (begin < end) run(begin, end);
  }
}

// Calls body(task) for each task in [0, count), on whichever thread is free: for long tasks that do not
// depend on each other. A processor that is slow for a while, or that others use too, gets less to do.
template <class Body>
void parallel_tasks(int64_t count, const Body& body) {
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    for (int64_t task; (task = next.fetch_add(1)) < count;) body(task);
  };
  const int threads = omp_get_max_threads();
  if (count <= 1 || threads == 1 || omp_in_parallel()) return work();
#pragma omp parallel num_threads(threads)
  work();
}

// While it lives, libraries that this thread calls use this thread alone. What they choose by the number of
// threads, such as the order of a sum, then depends on it no more.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// The grain in rows for rows of `width` elements.
inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, parallel_grain / std::max<int64_t>(width, 1));
}

}  // namespace nabla
