#include "dinomaly/serve/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "dinomaly/base/framework.h"

namespace dinomaly {

namespace {

std::string head_of_metric(const char* name, const char* type, const char* help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string simple(const char* name, const char* type, const char* help, int64_t value) {
  return head_of_metric(name, type, help) + fmt::format("{} {}\n", name, value);
}

// Of this process; 0 where the system does not say.
int64_t resident_bytes() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

void Histogram::observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  sum_ += value;
}

std::string Histogram::text(const std::string& name, const std::string& labels) const {
  std::string lines;
  int64_t count = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    count += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    lines += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", name, labels, bound, count);
  }
  const std::string of = labels.empty() ? "" : "{" + labels.substr(0, labels.size() - 1) + "}";
  return lines + fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, of, sum_, name, of, count);
}

std::vector<double> ServeMetrics::second_bounds() {
  return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
}

// Half an octave apart: scores of all models, whose distribution is watched, lie within.
std::vector<double> ServeMetrics::score_bounds() {
  std::vector<double> bounds;
  for (int i = 0; i <= 20; ++i) {
    const double exact = 0.001 * std::pow(2.0, i / 2.0);
    const double unit = std::pow(10.0, std::floor(std::log10(exact)) - 1);
    bounds.push_back(std::stod(fmt::format("{:.2g}", std::round(exact / unit) * unit)));
  }
  return bounds;
}

void ServeMetrics::answered(const std::string& path, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, status}];
  if (path == "/predict") seconds_.observe(seconds);
}

void ServeMetrics::judged(const std::string& model, double score, bool anomalous) {
  const std::lock_guard lock(mutex_);
  OfModel& counts = models_[model];
  ++counts.images;
  counts.anomalies += anomalous ? 1 : 0;
  counts.scores.observe(score);
}

void ServeMetrics::rejected(const std::string& model) {
  const std::lock_guard lock(mutex_);
  ++models_[model].rejected;
}

void ServeMetrics::saved_feedback(const std::string& model) {
  const std::lock_guard lock(mutex_);
  ++models_[model].feedback;
}

std::string ServeMetrics::text(const Gauges& gauges) const {
  const std::lock_guard lock(mutex_);
  std::string text = head_of_metric("dinomaly_build_info", "gauge", "The program's version.") +
                     fmt::format("dinomaly_build_info{{version=\"{}\"}} 1\n", gauges.version) +
                     head_of_metric("dinomaly_requests_total", "counter",
                                    "Requests that were answered, by path and status.");
  for (const auto& [key, count] : requests_)
    text += fmt::format("dinomaly_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first, key.second,
                        count);
  text += head_of_metric("dinomaly_request_seconds", "histogram",
                         "Seconds from the first byte of a POST /predict to its answer.") +
          seconds_.text("dinomaly_request_seconds", "");
  const auto by_model = [&](const char* name, const char* help, int64_t OfModel::*count) {
    text += head_of_metric(name, "counter", help);
    for (const auto& [model, counts] : models_)
      text += fmt::format("{}{{model=\"{}\"}} {}\n", name, model, counts.*count);
  };
  by_model("dinomaly_images_total", "Images that were judged.", &OfModel::images);
  by_model("dinomaly_anomalies_total", "Images that were judged anomalous.", &OfModel::anomalies);
  by_model("dinomaly_rejected_images_total", "Images that could not be read or judged.", &OfModel::rejected);
  by_model("dinomaly_feedback_total", "Images that were saved as good.", &OfModel::feedback);
  text += head_of_metric("dinomaly_score", "histogram", "Scores of images that were judged.");
  for (const auto& [model, counts] : models_)
    text += counts.scores.text("dinomaly_score", fmt::format("model=\"{}\",", model));
  text += head_of_metric("dinomaly_threshold", "gauge", "Scores above it are anomalous.");
  for (const auto& [model, threshold] : gauges.thresholds)
    text += fmt::format("dinomaly_threshold{{model=\"{}\"}} {}\n", model, threshold);
  return text +
         simple("dinomaly_queue_images", "gauge", "Images that are waiting or being judged.", gauges.queue) +
         simple("dinomaly_queue_limit", "gauge", "So many may be.", gauges.queue_limit) +
         simple("dinomaly_connections", "gauge", "Connections that are open.", gauges.connections) +
         simple("dinomaly_batches_total", "counter", "Batches that went to a model.", gauges.batches) +
         simple("dinomaly_batched_images_total", "counter", "Images in them.", gauges.batched) +
         simple("dinomaly_model_replacements_total", "counter", "Models replaced by a new file.",
                gauges.replaced) +
         simple("process_resident_memory_bytes", "gauge", "Memory of the process.", resident_bytes());
}

}  // namespace dinomaly
