// Times Dinomaly end to end with random weights.
//
//   bench_dinomaly infer --arch small --batch 1 --threads 2 --repeat 10
//   bench_dinomaly train --arch base --batch 4 --kept-features
//
// Prints one line of JSON. With --serve it answers the lines of its stdin instead, so that another program
// can alternate between this one and others: see compare.py.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "bench/process.h"
#include "bench/workload.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "tensor/error.h"
#include "tensor/profiler.h"

using namespace dinomaly;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

static double time_one(Workload& workload) {
  const Clock::time_point start = Clock::now();
  workload.run();
  return seconds_since(start);
}

static void answer(const json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

// The first line out: {"check", "first_result_seconds", "peak_rss_mb"}; then one for each line in.
//   run   -> {"seconds"}: of one repetition, all images
//   reset -> {}: restarts the peak
//   peak  -> {"peak_rss_mb"}
static void serve(Workload& workload, Clock::time_point start) {
  const json first = workload.check();
  answer({{"check", first},
          {"first_result_seconds", seconds_since(start)},
          {"peak_rss_mb", peak_rss_mb()},
          {"gflop_per_image", workload.flops_per_image() / 1e9}});
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "run")
      answer({{"seconds", time_one(workload)}});
    else if (line == "reset")
      reset_peak_rss(), answer(json::object());
    else if (line == "peak")
      answer({{"peak_rss_mb", peak_rss_mb()}});
    else
      answer({{"error", "expected run, reset or peak"}});
  }
}

static void measure(Workload& workload, const BenchOptions& options, Clock::time_point start) {
  workload.run();  // packs weights and fills the allocator: not counted
  const double first_result = seconds_since(start);
  std::vector<double> seconds;
  for (int64_t i = 0; i < options.repeat; ++i) {
    seconds.push_back(time_one(workload) / static_cast<double>(options.batch));
  }
  if (options.profile) {
    // [snippet: profile]
    const Profiler profiler;
    workload.run();
    fmt::print(stderr, "{}", profiler.table());
    // [end]
  }
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  const double median = seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  const double flops = workload.flops_per_image();
  answer({{"seconds_per_image_min", seconds.front()},
          {"seconds_per_image_median", median},
          {"peak_rss_mb", peak_rss_mb()},
          {"gflop_per_image", flops / 1e9},
          {"gflops_per_second", flops / seconds.front() / 1e9},
          {"first_result_seconds", first_result},
          {"check", workload.check()},
          {"config", options.to_json()}});
}

static int run(int argc, char** argv) {
  const Clock::time_point start = Clock::now();
  const std::optional<BenchOptions> parsed = parse_bench_options(argc, argv);
  if (!parsed) return 0;
  const BenchOptions& options = *parsed;
  Workload workload(options);
  if (options.serve)
    serve(workload, start);
  else
    measure(workload, options, start);
  return 0;
}

int main(int argc, char** argv) {
  return run_program("bench_dinomaly", [&] { return run(argc, argv); });
}
