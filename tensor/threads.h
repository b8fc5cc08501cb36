// Threads: how many a program computes with, and loops over them. For the host only.
//
// A loop is cut into more pieces than there are threads. Each thread begins with its share of them, the same part of every
// loop, so that it finds in its cache what the loop before left there, and goes on with those of others. So a thread that
// comes late, because another program has its processor, delays the piece that it has taken and nothing else: the others,
// the caller among them, do the rest. OpenMP, whose loops end with all threads or not at all, would wait for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace nabla {

// OMP_NUM_THREADS if that is set. Otherwise as many threads as this process may run at once: the processors it is allowed
// to use (sched_setaffinity), no more than its cgroup's quota, rounded up (`docker run --cpus`).
int default_threads();

// How many threads the loops of the calling thread may use; at least 1. Pieces are cut for so many; useful_threads() of
// them run. set_num_threads(0) is set_num_threads(default_threads()).
int num_threads();
void set_num_threads(int count);  // for all threads of the process; while no loop runs

// As many of num_threads() as there are processors for (two at least): more only take them from each other.
int useful_threads();

// Whether the caller is inside a loop's body. A loop in there runs on its own thread alone.
bool in_parallel_loop();

// Calls task(body, i) for each i in [0, count), on whichever thread is free, and returns when all are done. The calling
// thread takes part. Loops of two threads at once: one has the team, the other runs alone. What `task` throws is thrown
// again here, once all are done; of several exceptions that of the smallest i.
// Throws std::system_error if the first loop cannot start the team's threads.
void run_on_threads(int64_t count, void (*task)(const void* body, int64_t i), const void* body);

// Calls body(task) for each task in [0, count), on whichever thread is free: for long tasks that do not depend on each
// other. What `body` throws is thrown again here.
template <class Body>
void parallel_tasks(int64_t count, const Body& body) {
  run_on_threads(
      count, [](const void* tasks, int64_t i) { (*static_cast<const Body*>(tasks))(i); }, &body);
}

// Elements of work below which starting the other threads costs more than it saves.
inline constexpr int64_t parallel_grain = 32768;

// The grain in rows for rows of `width` elements.
inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, parallel_grain / std::max<int64_t>(width, 1));
}

// Calls body(begin, end) on consecutive pieces of [0, count), on several threads if there is more than `grain` to do and
// this is not already inside such a loop. Pieces begin at multiples of `align` and depend on the number of threads: what
// is added up must not be added up over a piece. What `body` throws is thrown again here.
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body, int64_t align = 1) {
  if (count <= 0) return;
  // Not inlined, or there would be two copies of the body: one for a single thread, one for many.
  const auto run = [&](int64_t begin, int64_t end) __attribute__((noinline)) { body(begin, end); };
  const int64_t team = num_threads();
  if (count <= grain || team == 1 || in_parallel_loop()) return run(0, count);
  constexpr int64_t pieces_each = 4;
  const int64_t least = std::max(count / (team * pieces_each), grain / pieces_each);
  const int64_t piece = (std::max<int64_t>(least, 1) + align - 1) / align * align;
  parallel_tasks((count + piece - 1) / piece,
                 [&](int64_t i) { run(i * piece, std::min((i + 1) * piece, count)); });
}

// While it lives, loops of this thread use this thread alone.
class SerialLoops {
 public:
  SerialLoops();
  ~SerialLoops();
  SerialLoops(const SerialLoops&) = delete;
  SerialLoops& operator=(const SerialLoops&) = delete;

 private:
  int before_;
};

// The quota in a cgroup's files, in processors: of "cpu.max" (version 2: "150000 100000" is 1.5, "max 100000" none), or of
// version 1's cpu.cfs_quota_us and cpu.cfs_period_us, one after the other. Nothing if there is none.
std::optional<double> processors_of_quota(const std::string& text);

}  // namespace nabla
