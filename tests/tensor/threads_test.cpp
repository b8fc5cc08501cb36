// Loops over threads: every piece once, on whoever is free, and how many threads there are.
#include "tensor/threads.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tensor/error.h"

namespace nabla {
namespace {

class Threads {  // restored at the end
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

std::vector<int> visits(int64_t count) {
  std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
  parallel_tasks(count, [&](int64_t i) { ++seen[static_cast<size_t>(i)]; });
  return {seen.begin(), seen.end()};
}

TEST_SUITE_BEGIN("threads");

TEST_CASE("parallel_tasks: each task once, with any number of threads") {
  for (int threads = 1; threads <= 7; ++threads) {
    const Threads guard(threads);
    for (const int64_t count : {0, 1, 2, 3, 64, 1000}) {
      for (int repeat = 0; repeat < 50; ++repeat)
        REQUIRE(visits(count) == std::vector<int>(static_cast<size_t>(count), 1));
    }
  }
}

TEST_CASE("parallel_for: pieces cover the range, begin at multiples, and small ones stay whole") {
  const Threads guard(3);
  std::mutex mutex;
  for (const int64_t count : {1, 7, 100, 12'345}) {
    std::vector<int> seen(static_cast<size_t>(count));
    std::set<int64_t> begins;
    parallel_for(
        count, 10,
        [&](int64_t begin, int64_t end) {
          const std::lock_guard lock(mutex);
          begins.insert(begin);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        },
        8);
    CHECK(seen == std::vector<int>(static_cast<size_t>(count), 1));
    CHECK((begins.size() > 1) == (count > 10));
    for (const int64_t begin : begins) CHECK(begin % 8 == 0);
  }
}

TEST_CASE("A thread that comes late delays the piece it has taken and no other") {
  const Threads guard(2);
  constexpr int64_t count = 1000;
  const std::thread::id caller = std::this_thread::get_id();
  for (const bool caller_is_late : {false, true}) {
    std::atomic<int64_t> done = 0;
    std::atomic<bool> stopped = false, gave_up = false;
    parallel_tasks(count, [&](int64_t) {
      // Neither thread may do all before the other has come.
      const bool late = (std::this_thread::get_id() == caller) == caller_is_late;
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      const auto wait_for = [&](const auto& condition) {
        while (!condition() && !gave_up) {
          std::this_thread::yield();
          if (std::chrono::steady_clock::now() > until) gave_up = true;
        }
      };
      if (late && !stopped.exchange(true))
        wait_for([&] { return done == count - 1; });
      else
        wait_for([&] { return stopped.load(); });
      ++done;
    });
    CHECK_FALSE(gave_up);
    CHECK(done == count);
  }
}

TEST_CASE("A loop in a loop, or beside another thread's, is whole") {
  const Threads guard(4);
  std::atomic<int> inner = 0;
  CHECK_FALSE(in_parallel_loop());
  parallel_tasks(20, [&](int64_t) {
    if (!in_parallel_loop()) inner = -1'000'000;
    const std::thread::id own = std::this_thread::get_id();
    parallel_tasks(30, [&](int64_t) { inner += std::this_thread::get_id() == own ? 1 : -1'000'000; });
  });
  CHECK(inner == 600);
  CHECK_FALSE(in_parallel_loop());

  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 300; ++repeat) wrong += visits(40) == std::vector<int>(40, 1) ? 0 : 1;
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("What a piece throws reaches the caller, and the next loop is whole") {
  for (int threads = 1; threads <= 4; ++threads) {
    const Threads guard(threads);
    for (const int64_t bad : {0, 3, 63}) {
      CHECK_THROWS_WITH_AS(parallel_tasks(64, [&](int64_t i) { check(i != bad, "piece {}", i); }),
                           fmt::format("piece {}", bad).c_str(), Error);
      CHECK_FALSE(in_parallel_loop());
      CHECK(visits(64) == std::vector<int>(64, 1));
    }
    std::atomic<int> done = 0;
    CHECK_THROWS_WITH_AS(
        parallel_tasks(64, [&](int64_t i) { ++done, check(i != 3 && i < 40, "piece {}", i); }), "piece 3",
        Error);
    CHECK(done == 64);
    CHECK_THROWS_AS(parallel_for(1 << 20, 16, [](int64_t, int64_t) { throw std::bad_alloc(); }),
                    std::bad_alloc);
  }
}

TEST_CASE("SerialLoops keeps a thread's loops on it") {
  const Threads guard(4);
  const std::thread::id own = std::this_thread::get_id();
  std::atomic<int> elsewhere = 0;
  {
    const SerialLoops serial;
    CHECK(num_threads() == 1);
    parallel_tasks(1000, [&](int64_t) { elsewhere += std::this_thread::get_id() == own ? 0 : 1; });
  }
  CHECK(elsewhere == 0);
  CHECK(num_threads() == 4);
}

TEST_SUITE_END();

TEST_CASE("The number of threads: processors, a cgroup's quota, OMP_NUM_THREADS") {
  CHECK(processors_of_quota("150000 100000\n") == 1.5);
  CHECK(processors_of_quota("50000\n 100000\n") == 0.5);
  for (const char* none : {"max 100000\n", "-1\n 100000\n", "", " ", "100000", "100000 0", "nonsense 5"})
    CHECK_FALSE(processors_of_quota(none).has_value());

  const char* const given = std::getenv("OMP_NUM_THREADS");
  const std::string before = given == nullptr ? "" : given;
  unsetenv("OMP_NUM_THREADS");
  const int usual = default_threads();
  CHECK(usual >= 1);
  CHECK(usual <= static_cast<int>(std::thread::hardware_concurrency()));
  for (const auto& [text, threads] :
       {std::pair{"3", 3}, std::pair{"5,2", 5}, std::pair{"many", usual}, std::pair{"-2", usual}}) {
    setenv("OMP_NUM_THREADS", text, 1);
    CHECK(default_threads() == threads);
  }
  if (given == nullptr)
    unsetenv("OMP_NUM_THREADS");
  else
    setenv("OMP_NUM_THREADS", before.c_str(), 1);
  CHECK_THROWS_AS(set_num_threads(-1), Error);
}

}  // namespace
}  // namespace nabla
