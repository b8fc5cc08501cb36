#include "dinomaly/report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "dinomaly/base/files.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/report/heatmap.h"
#include "dinomaly/report/shown_sample.h"
#include "dinomaly/report/table.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// The one list of metrics, in the papers' order.
template <class MetricsType, class Visitor>
void for_each_metric(MetricsType&& m, Visitor visit) {
  visit("image_auroc", m.image_auroc);
  visit("image_ap", m.image_ap);
  visit("image_f1max", m.image_f1max);
  visit("pixel_auroc", m.pixel_auroc);
  visit("pixel_ap", m.pixel_ap);
  visit("pixel_f1max", m.pixel_f1max);
  visit("aupro", m.aupro);
}

double to_milliseconds(double seconds) { return std::round(seconds * 1e3) / 1e3; }

}  // namespace

ColourScale colour_scale(const std::vector<CategoryResult>& results) {
  float low = INFINITY;
  std::vector<float> peaks;
  for (const CategoryResult& result : results) {
    const int64_t count = result.maps.size(0), pixels = result.maps.numel() / std::max<int64_t>(count, 1);
    for (int64_t i = 0; i < count; ++i) {
      const float* begin = result.maps.data<float>() + i * pixels;
      const auto [smallest, largest] = std::minmax_element(begin, begin + pixels);
      low = std::min(low, *smallest);
      peaks.push_back(*largest);
    }
  }
  if (peaks.empty()) return {};
  std::sort(peaks.begin(), peaks.end());
  const float high = peaks[static_cast<size_t>(0.995 * static_cast<double>(peaks.size() - 1))];
  return {low, std::max(high, low + 1e-6f)};
}

Metrics mean_metrics(const std::vector<CategoryResult>& results) {
  Metrics mean;
  for (const CategoryResult& result : results) {
    std::vector<double> values;
    for_each_metric(result.metrics, [&](const char*, double value) { values.push_back(value); });
    size_t i = 0;
    for_each_metric(
        mean, [&](const char*, double& sum) { sum += values[i++] / static_cast<double>(results.size()); });
  }
  return mean;
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for_each_metric(Metrics{}, [&](const char* name, double) { names.emplace_back(name); });
  return names;
}

double metric_value(const Metrics& metrics, const std::string& wanted) {
  std::optional<double> result;
  for_each_metric(metrics, [&](const char* name, double value) {
    if (wanted == name) result = value;
  });
  check_input(result.has_value(), "--keep-best: '{}' is not one of {}", wanted,
              fmt::join(metric_names(), ", "));
  return *result;
}

void print_metrics(const std::vector<CategoryResult>& results) {
  fmt::print("{}", to_text(paper_table(results)));
}

void write_metrics(const std::filesystem::path& path, const std::vector<CategoryResult>& results,
                   const Config& config, const RunSeconds& seconds) {
  const json numbers = to_json(paper_table(results));
  const json document = {
      {"categories", numbers.at("categories")},
      {"mean", numbers.at("mean")},
      {"config", short_numbers(config.to_json())},
      {"seconds",
       {{"features", to_milliseconds(seconds.features)},
        {"train", to_milliseconds(seconds.train)},
        {"evaluate", to_milliseconds(seconds.evaluate)}}},
  };
  write_file(path, json_text(document, 2) + "\n");
}

void write_heatmaps(const std::filesystem::path& directory, const std::vector<CategoryResult>& results,
                    const Dataset& dataset, const Config& config) {
  const ColourScale scale = colour_scale(results);
  for (size_t c = 0; c < results.size(); ++c) {
    const std::vector<Sample>& samples = dataset.categories[c].test;
    for_each_in_parallel(samples.size(), [&](size_t i) {
      const Sample& sample = samples[i];
      const ShownSample shown = load_shown_sample(sample, config.image);
      const Tensor mask =
          shown.mask ? Tensor::from(shown.mask->pixels, {shown.mask->height, shown.mask->width}) : Tensor();
      save_heatmap(directory / sample.category / (sample.defect + "_" + sample.id + ".png"), shown.rgb, mask,
                   results[c].maps.select(0, static_cast<int64_t>(i)), scale.low, scale.high);
    });
  }
}

void write_results(const std::filesystem::path& out, const std::vector<CategoryResult>& results,
                   const Dataset& dataset, const Config& config, const RunSeconds& seconds) {
  if (!results.empty()) {
    write_heatmaps(out / "heatmaps", results, dataset, config);
    write_metrics(out / "metrics.json", results, config, seconds);
    print_metrics(results);
  }
  fmt::print("features {:.1f} s, training {:.1f} s, evaluation {:.1f} s; results in {}\n", seconds.features,
             seconds.train, seconds.evaluate, out.string());
}

}  // namespace dinomaly
