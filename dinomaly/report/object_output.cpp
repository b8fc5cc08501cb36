#include "dinomaly/report/object_output.h"

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/data/pairs.h"
#include "dinomaly/report/table.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {

using nlohmann::json;

std::optional<ObjectVerdict> ObjectJudge::add(const InputImage& image, const Prediction& prediction) {
  check(!image.error.empty() || prediction.blurred.defined(), "object judge: a prediction with tiles");
  if (kind_ == ObjectKind::pairs) return add_to_pair(image, prediction);
  Images& images = objects_[image.path.parent_path()];
  if (image.error.empty())
    images.maps.push_back(prediction.blurred.contiguous().unsqueeze(0));
  else if (images.error.empty())
    images.error = image.error;
  return std::nullopt;
}

std::optional<ObjectVerdict> ObjectJudge::add_to_pair(const InputImage& image, const Prediction& prediction) {
  const auto [name, infrared] = pair_member(image.path);
  Images& images = objects_[name];
  std::filesystem::path& own = images.of_sensors[infrared ? 1 : 0];
  if (own == image.path) images = {};  // a watched file that was written again
  if (!own.empty())
    images.error = fmt::format("{} and {} are both its {} image", own.string(), image.path.string(),
                               infrared ? "infrared" : "RGB");
  own = image.path;
  if (image.error.empty())
    images.maps.push_back(prediction.blurred.contiguous().unsqueeze(0));
  else
    images.error = image.error;
  if (images.of_sensors[0].empty() || images.of_sensors[1].empty()) return std::nullopt;
  const ObjectVerdict verdict = verdict_on(name, images);
  objects_.erase(name);
  return verdict;
}

ObjectVerdict ObjectJudge::verdict_on(const std::filesystem::path& name, const Images& images) const {
  ObjectVerdict verdict;
  verdict.name = name.empty() ? "." : name;
  verdict.images = static_cast<int64_t>(images.maps.size());
  verdict.threshold = threshold_;
  verdict.error = images.error;
  for (const size_t sensor : {size_t{0}, size_t{1}}) {
    if (kind_ != ObjectKind::pairs || !images.of_sensors[sensor].empty()) continue;
    verdict.incomplete = true;
    verdict.error =
        fmt::format("{}: its {} image is missing", verdict.name.string(), sensor == 0 ? "RGB" : "infrared");
  }
  if (!verdict.error.empty()) return verdict;
  verdict.score = object_score(cat(images.maps, 0), ratio_, kind_);
  verdict.anomalous = threshold_ && verdict.score > *threshold_;
  return verdict;
}

std::vector<ObjectVerdict> ObjectJudge::verdicts() const {
  std::vector<ObjectVerdict> verdicts;
  for (const auto& [name, images] : objects_) verdicts.push_back(verdict_on(name, images));
  return verdicts;
}

json to_json(const ObjectVerdict& verdict) {
  if (!verdict.error.empty()) return {{"object", verdict.name.string()}, {"error", verdict.error}};
  return {{"object", verdict.name.string()},
          {"images", verdict.images},
          {"score", short_number(verdict.score)},
          {"threshold", verdict.threshold ? json(short_number(*verdict.threshold)) : json(nullptr)},
          {"anomalous", verdict.threshold ? json(verdict.anomalous) : json(nullptr)}};
}

std::string to_csv(const ObjectVerdict& verdict) {
  const std::string name = csv_field(verdict.name.string());
  if (!verdict.error.empty()) return fmt::format("{},,,,,,,,,{}", name, csv_field(verdict.error));
  const std::string threshold = verdict.threshold ? fmt::format("{}", short_number(*verdict.threshold)) : "";
  const char* decision = !verdict.threshold ? "" : verdict.anomalous ? "true" : "false";
  return fmt::format("{},,,{},{},{},,,,", name, short_number(verdict.score), threshold, decision);
}

std::string to_text(const ObjectVerdict& verdict) {
  const std::string name = one_line(verdict.name.string());
  if (!verdict.error.empty())
    return fmt::format("{:<10} {:<8}  {}  (an image of it {})", "-", "-", name,
                       verdict.incomplete ? "is missing" : "was not judged");
  const char* decision = !verdict.threshold ? "-" : verdict.anomalous ? "anomalous" : "good";
  return fmt::format("{:<10} {:.6f}  {}  (object of {} image{})", decision, verdict.score, name,
                     verdict.images, verdict.images == 1 ? "" : "s");
}

}  // namespace dinomaly
