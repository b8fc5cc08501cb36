// bench_metrics [--maps N] [--side S]: time and memory of the exact AU-PRO of N maps of S x S values.
#include <CLI/CLI.hpp>
#include <vector>

#include "bench/process.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/evaluation/aupro.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

using namespace dinomaly;

namespace {

// Three squares per mask on every second map, where its values tend to be higher.
void draw(std::vector<float>& map, std::vector<uint8_t>& mask, int64_t side, bool anomalous) {
  std::fill(mask.begin(), mask.end(), uint8_t{0});
  if (!anomalous) return;
  for (int64_t k = 0; k < 3; ++k) {
    const int64_t begin = (1 + 3 * k) * side / 10, end = begin + side * (k + 1) / 25;
    for (int64_t y = begin; y < end; ++y) {
      for (int64_t x = begin; x < end; ++x) {
        mask[static_cast<size_t>(y * side + x)] = 1;
        map[static_cast<size_t>(y * side + x)] += 0.5f;
      }
    }
  }
}

int measure(int64_t count, int64_t side) {
  Generator generator(1);
  OfficialAupro aupro;
  double adding = 0;
  std::vector<uint8_t> mask(static_cast<size_t>(side * side));
  for (int64_t i = 0; i < count; ++i) {
    std::vector<float> map = Tensor::uniform({side, side}, 0, 1, generator).to_vector<float>();
    draw(map, mask, side, i % 2 == 1);
    const auto start = std::chrono::steady_clock::now();
    aupro.add(map, mask, side, side);
    adding += seconds_since(start);
  }
  const auto start = std::chrono::steady_clock::now();
  const double value = aupro.compute();
  const double computing = seconds_since(start);
  fmt::print(
      "AU-PRO {:.6f} of {} maps of {} x {}: {:.2f} s ({:.2f} s adding them, {:.2f} s the curve), "
      "peak {:.0f} MB\n",
      value, count, side, side, adding + computing, adding, computing, peak_rss_mb());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("bench_metrics", [&] {
    int64_t count = 100, side = 1000;
    CLI::App app{"Time and memory of the exact AU-PRO", "bench_metrics"};
    app.add_option("--maps", count, "how many")->capture_default_str()->check(from_to(2, 10000));
    app.add_option("--side", side, "pixels")->capture_default_str()->check(from_to(50, 10000));
    if (!parse_flags(app, argc, argv)) return 0;
    return measure(count, side);
  });
}
