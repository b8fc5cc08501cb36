// What the service counts, as Prometheus reads it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace dinomaly {

// Observations by upper bounds of buckets, the last of which is infinity.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void observe(double value);
  // The lines of a Prometheus histogram; `labels`: "" or "name=\"value\",".
  std::string text(const std::string& name, const std::string& labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // of each bucket alone
  double sum_ = 0;
};

class ServeMetrics {
 public:
  // A request that was answered. `path`: one of the service's, "other" for all others.
  void answered(const std::string& path, int status, double seconds);
  // An image that was judged; one that could not be.
  void judged(const std::string& model, double score, bool anomalous);
  void rejected(const std::string& model);
  void saved_feedback(const std::string& model);

  struct Gauges {
    int64_t queue = 0, queue_limit = 0, connections = 0, batches = 0, batched = 0, replaced = 0;
    std::map<std::string, double> thresholds = {};  // by model
    std::string version = {};
  };
  // All of it in Prometheus' text format 0.0.4.
  std::string text(const Gauges& gauges) const;

 private:
  struct OfModel {
    int64_t images = 0, anomalies = 0, rejected = 0, feedback = 0;
    Histogram scores{score_bounds()};
  };
  static std::vector<double> score_bounds();
  static std::vector<double> second_bounds();

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;  // by path and status
  Histogram seconds_{second_bounds()};                       // of /predict
  std::map<std::string, OfModel> models_;
};

}  // namespace dinomaly
