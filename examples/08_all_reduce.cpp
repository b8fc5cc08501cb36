// 08: the sum of what several processes have, by a ring; and gradients that travel while the backward pass still runs.
//
//   build/bin/08_all_reduce
//   mpirun -n 2 build/bin/08_all_reduce PICTURE.png
//
// The picture is docs/all_reduce.png, from the times of one training step: in each process the backward pass of sixteen layers,
// and below it the way of each bucket of gradients, in orange where nothing is left to compute meanwhile.
//
// Expected output:
//   step     process 0              process 1              process 2              process 3
//      0      1    1    1    1     10   10   10   10    100  100  100  100   1000 1000 1000 1000
//      1      1    1    1 1001     11   10   10   10    100  110  100  100   1000 1000 1100 1000
//      2      1    1 1101 1001     11   10   10 1011    111  110  100  100   1000 1110 1100 1000
//      3      1 1111 1101 1001     11   10 1111 1011    111  110  100 1111   1111 1110 1100 1000
//      4   1111 1111 1101 1001     11 1111 1111 1011    111  110 1111 1111   1111 1110 1100 1111
//      5   1111 1111 1101 1111   1111 1111 1111 1011    111 1111 1111 1111   1111 1110 1111 1111
//      6   1111 1111 1111 1111   1111 1111 1111 1111   1111 1111 1111 1111   1111 1111 1111 1111
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "dinomaly/image/image.h"
#include "dinomaly/training/gradient_exchange.h"
#include "tensor/communicator.h"
#include "tensor/threads.h"

using namespace dinomaly;

// --- A ring, with four processes that are rows of an array.

constexpr size_t ring = 4;  // processes, and as many parts of what they add up
using Row = std::array<int, ring>;

static void print_rows(size_t step, const std::array<Row, ring>& rows) {
  fmt::print("{:>4}", step);
  for (const Row& row : rows) {
    fmt::print("  ");
    for (const int part : row) fmt::print(" {:>4}", part);
  }
  fmt::print("\n");
}

static void all_reduce_by_ring() {
  std::array<Row, ring> rows;
  for (size_t process = 0, value = 1; process < ring; ++process, value *= 10)
    rows[process].fill(static_cast<int>(value));
  fmt::print("step     process 0              process 1              process 2              process 3\n");
  print_rows(0, rows);
  for (size_t step = 0; step < 2 * (ring - 1); ++step) {
    // [snippet: ring]
    std::array<Row, ring> next = rows;
    for (size_t process = 0; process < ring; ++process) {
      const size_t right = (process + 1) % ring, part = (process + 2 * ring - step) % ring;
      const bool is_sum = step >= ring - 1;  // the first three steps add, the other three hand the sums round
      next[right][part] = is_sum ? rows[process][part] : rows[right][part] + rows[process][part];
    }
    rows = next;
    // [end]
    print_rows(step + 1, rows);
  }
}

// --- A training step, in the processes that there are.

using Clock = GradientExchange::Clock;

// Of one process, in seconds since it began the backward pass.
struct StepTimes {
  std::vector<double> layers;         // when the gradient of each is complete, the last layer first
  std::vector<double> sent, arrived;  // of each bucket
};

static StepTimes measure_step() {
  constexpr int64_t width = 512, rows = 512;
  Communicator& all = communicator();
  Generator generator(1);
  std::vector<Variable> weights;
  for (int i = 0; i < 16; ++i) weights.emplace_back(Tensor::normal({width, width}, 0, 0.05, generator), true);
  GradientExchange exchange(weights, all, int64_t{4} << 20);  // four of 1 MB go together
  StepTimes times;
  Clock::time_point begun;
  const auto since_begun = [&](Clock::time_point when) {
    return std::chrono::duration<double>(when - begun).count();
  };
  std::vector<HookHandle> hooks;
  for (const Variable& weight : weights) {
    hooks.push_back(weight.register_hook([&](const Tensor& gradient) {
      times.layers.push_back(since_begun(Clock::now()));
      return gradient;
    }));
  }
  for (int step = 0; step < 4; ++step) {  // the last counts: the others find memory
    times = {};
    Variable x(Tensor::normal({rows, width}, 0, 1, generator));
    for (const Variable& weight : weights) x = gelu(matmul(x, weight));
    const Variable loss = mean(x * x);
    all.barrier();
    begun = Clock::now();
    loss.backward();
    exchange.finish();
  }
  for (HookHandle& hook : hooks) hook.remove();
  for (const auto& [bytes, sent, arrived] : exchange.travels()) {
    times.sent.push_back(since_begun(sent));
    times.arrived.push_back(since_begun(arrived));
  }
  return times;
}

// Of all processes, in the order of their ranks.
static std::vector<StepTimes> gather(const StepTimes& own) {
  std::vector<double> row = own.layers;
  row.insert(row.end(), own.sent.begin(), own.sent.end());
  row.insert(row.end(), own.arrived.begin(), own.arrived.end());
  const auto values = communicator()
                          .all_gather(Tensor::from(row, {1, static_cast<int64_t>(row.size())}).to(Dtype::f64))
                          .to_vector<double>();
  std::vector<StepTimes> all;
  for (auto next = values.begin(); next != values.end();) {
    const auto take = [&](size_t count) {
      const auto from = std::exchange(next, next + static_cast<std::ptrdiff_t>(count));
      return std::vector<double>(from, next);
    };
    StepTimes& times = all.emplace_back();
    times.layers = take(own.layers.size());
    times.sent = take(own.sent.size());
    times.arrived = take(own.arrived.size());
  }
  return all;
}

using Colour = std::array<uint8_t, 3>;

static void fill(Image& picture, int64_t left, int64_t top, int64_t right, int64_t bottom,
                 const Colour& colour) {
  for (int64_t y = top; y < bottom; ++y) {
    for (int64_t x = left; x < std::max(right, left + 1); ++x)
      std::copy_n(colour.data(), 3, picture.at(x, y));
  }
}

// A row of layers for each process, and below it one for each bucket.
static void draw(const std::string& path, const std::vector<StepTimes>& processes) {
  constexpr int64_t margin = 16, width = 880, row = 12;
  const auto buckets = static_cast<int64_t>(processes[0].sent.size()), height = (buckets + 3) * row + margin;
  double end = 0;
  for (const StepTimes& times : processes) end = std::max({end, times.layers.back(), times.arrived.back()});
  const auto column = [&](double time) { return margin + static_cast<int64_t>(time / end * (width - 1)); };
  Image picture(width + 2 * margin, margin + height * static_cast<int64_t>(processes.size()), 3);
  std::fill(picture.pixels.begin(), picture.pixels.end(), uint8_t{255});
  int64_t top = margin;
  for (const StepTimes& times : processes) {
    double begun = 0;
    for (size_t i = 0; i < times.layers.size(); begun = times.layers[i++])
      fill(picture, column(begun), top, column(times.layers[i]), top + 2 * row,
           i % 2 == 0 ? Colour{150, 150, 150} : Colour{185, 185, 185});
    for (size_t i = 0; i < times.sent.size(); ++i) {
      const int64_t y = top + (static_cast<int64_t>(i) + 2) * row + 4;
      const double hidden = std::clamp(times.layers.back(), times.sent[i], times.arrived[i]);
      fill(picture, column(times.sent[i]), y, column(hidden), y + row - 3, {25, 90, 180});
      if (hidden < times.arrived[i])
        fill(picture, column(hidden), y, column(times.arrived[i]), y + row - 3, {230, 130, 20});
    }
    top += height;
  }
  save_png(path, picture);
}

static void measure(const std::string& picture) {
  const std::vector<StepTimes> processes = gather(measure_step());
  if (!communicator().is_first()) return;
  for (size_t rank = 0; rank < processes.size(); ++rank) {
    const auto& [layers, sent, arrived] = processes[rank];
    double travelled = 0, hidden = 0;
    for (size_t i = 0; i < sent.size(); ++i) {
      travelled += arrived[i] - sent[i];
      hidden += std::clamp(layers.back(), sent[i], arrived[i]) - sent[i];
    }
    fmt::print("process {}: backward {:.1f} ms, {} buckets {:.1f} ms on their way, {:.0f} % of that hidden\n",
               rank, 1e3 * layers.back(), sent.size(), 1e3 * travelled, 100 * hidden / travelled);
  }
  draw(picture, processes);
}

int main(int argc, char** argv) {
  return run_program("08_all_reduce", [&] {
    check_input(argc <= 2, "expected at most one argument, the picture's file");
    set_num_threads(1);
    connect_processes();
    if (communicator().is_first()) all_reduce_by_ring();
    check_input(argc == 1 || communicator().size() > 1,
                "a picture needs several processes: mpirun -n 2 08_all_reduce {}", argc == 2 ? argv[1] : "");
    if (argc == 2) measure(argv[1]);
    return 0;
  });
}
