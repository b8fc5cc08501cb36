#include "dinomaly/report/object_output.h"

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/report/table.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {

using nlohmann::json;

void ObjectJudge::add(const InputImage& image, const Prediction& prediction) {
  Views& views = objects_[image.path.parent_path()];
  if (!image.error.empty()) {
    if (views.error.empty()) views.error = image.error;
    return;
  }
  check(prediction.blurred.defined(), "object judge: a prediction with tiles");
  views.maps.push_back(prediction.blurred.contiguous().unsqueeze(0));
}

std::vector<ObjectVerdict> ObjectJudge::verdicts() const {
  std::vector<ObjectVerdict> verdicts;
  for (const auto& [folder, views] : objects_) {
    ObjectVerdict& verdict = verdicts.emplace_back();
    verdict.folder = folder.empty() ? "." : folder;
    verdict.images = static_cast<int64_t>(views.maps.size());
    verdict.threshold = threshold_;
    verdict.error = views.error;
    if (!verdict.error.empty()) continue;
    const Tensor together = cat(views.maps, 0).reshape({1, -1});
    verdict.score = anomaly_score(together, ratio_).to_vector<float>().at(0);
    verdict.anomalous = threshold_ && verdict.score > *threshold_;
  }
  return verdicts;
}

json to_json(const ObjectVerdict& verdict) {
  if (!verdict.error.empty()) return {{"object", verdict.folder.string()}, {"error", verdict.error}};
  return {{"object", verdict.folder.string()},
          {"images", verdict.images},
          {"score", short_number(verdict.score)},
          {"threshold", verdict.threshold ? json(short_number(*verdict.threshold)) : json(nullptr)},
          {"anomalous", verdict.threshold ? json(verdict.anomalous) : json(nullptr)}};
}

std::string to_csv(const ObjectVerdict& verdict) {
  const std::string folder = csv_field(verdict.folder.string());
  if (!verdict.error.empty()) return fmt::format("{},,,,,,,,,{}", folder, csv_field(verdict.error));
  const std::string threshold = verdict.threshold ? fmt::format("{}", short_number(*verdict.threshold)) : "";
  const char* decision = !verdict.threshold ? "" : verdict.anomalous ? "true" : "false";
  return fmt::format("{},,,{},{},{},,,,", folder, short_number(verdict.score), threshold, decision);
}

std::string to_text(const ObjectVerdict& verdict) {
  const std::string folder = one_line(verdict.folder.string());
  if (!verdict.error.empty())
    return fmt::format("{:<10} {:<8}  {}  (an image of it was not judged)", "-", "-", folder);
  const char* decision = !verdict.threshold ? "-" : verdict.anomalous ? "anomalous" : "good";
  return fmt::format("{:<10} {:.6f}  {}  (object of {} image{})", decision, verdict.score, folder,
                     verdict.images, verdict.images == 1 ? "" : "s");
}

}  // namespace dinomaly
