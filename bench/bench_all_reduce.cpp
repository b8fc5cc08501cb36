// How long the sum of all processes' numbers takes, for messages from 4 bytes to 16 MB.
//
//   mpirun -n 2 bench_all_reduce
//
// Prints one line of JSON: the number of processes, and of each size the median seconds of 30 sums. scaling.py makes a latency
// and a bandwidth of them.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "tensor/communicator.h"
#include "tensor/error.h"

using namespace dinomaly;
using Clock = std::chrono::steady_clock;

static double median_seconds(const Tensor& x, int repeat) {
  std::vector<double> seconds;
  for (int i = 0; i < repeat; ++i) {
    communicator().barrier();
    const Clock::time_point start = Clock::now();
    communicator().all_reduce(x);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + repeat / 2, seconds.end());
  return seconds[static_cast<size_t>(repeat / 2)];
}

int main(int argc, char**) {
  return run_program("bench_all_reduce", [&] {
    check_input(argc == 1, "takes no arguments");
    connect_processes();
    check_input(communicator().size() > 1, "needs several processes: mpirun -n 2 bench_all_reduce");
    nlohmann::json sums = nlohmann::json::array();
    for (int64_t count = 1; count <= int64_t{4} << 20; count *= 4) {
      const Tensor x = Tensor::zeros({count});
      median_seconds(x, 3);  // memory and connections
      sums.push_back({{"bytes", count * 4}, {"seconds", median_seconds(x, 30)}});
    }
    const nlohmann::json line = {{"processes", communicator().size()}, {"sums", sums}};
    if (communicator().is_first()) fmt::print("{}\n", line.dump());
    return 0;
  });
}
