#include "dinomaly/report/object_output.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/pairs.h"
#include "dinomaly/report/table.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr size_t most_judged = size_t{1} << 16;

// The same for all paths to one file that differ in "." and ".." only.
std::filesystem::path key_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return (error ? path : whole).lexically_normal();
}

std::string both_are(const std::filesystem::path& one, const std::filesystem::path& other, bool infrared) {
  return fmt::format("{} and {} are both its {} image", one.string(), other.string(),
                     infrared ? "infrared" : "RGB");
}

}  // namespace

std::optional<ObjectVerdict> ObjectJudge::add(const InputImage& image, const Prediction& prediction) {
  check(!image.error.empty() || prediction.blurred.defined(), "object judge: a prediction with tiles");
  if (kind_ == ObjectKind::pairs) return add_to_pair(image, prediction);
  const std::filesystem::path folder = image.path.lexically_normal().parent_path();
  Images& images = objects_[key_of(folder.empty() ? "." : folder)];
  if (images.name.empty()) images.name = folder.empty() ? "." : folder;
  images.files.push_back(image.path);
  if (image.error.empty())
    images.maps.push_back(prediction.counted_values());
  else if (images.error.empty())
    images.error = image.error;
  return std::nullopt;
}

std::optional<ObjectVerdict> ObjectJudge::repetition(const std::filesystem::path& object,
                                                     const std::filesystem::path& image, bool infrared) {
  const auto judged = judged_.find(key_of(object));
  if (judged == judged_.end()) return std::nullopt;
  const std::filesystem::path before = judged->second[infrared ? 1 : 0];
  std::error_code ignored;
  if (key_of(before) == key_of(image) || (watched_ && !std::filesystem::exists(before, ignored))) {
    judged_.erase(judged);  // the pair is coming once more
    return std::nullopt;
  }
  ObjectVerdict verdict;
  verdict.name = object, verdict.incomplete = verdict.repeated = true;
  verdict.error = fmt::format("{}: {}; its verdict above is by the first", object.string(),
                              both_are(before, image, infrared));
  return verdict;
}

void ObjectJudge::remember(const std::filesystem::path& object, const OfSensors& images) {
  if (judged_.insert_or_assign(object, images).second) judged_order_.push_back(object);
  if (judged_order_.size() <= most_judged) return;
  judged_.erase(judged_order_.front());
  judged_order_.pop_front();
}

std::optional<ObjectVerdict> ObjectJudge::add_to_pair(const InputImage& image, const Prediction& prediction) {
  const auto [name, infrared] = pair_member(image.path);
  if (auto verdict = repetition(name, image.path, infrared)) return verdict;
  const std::filesystem::path key = key_of(name);
  Images& images = objects_[key];
  std::filesystem::path& own = images.of_sensors[infrared ? 1 : 0];
  if (!own.empty() && key_of(own) == key_of(image.path))
    images = {};  // a watched file that was written again
  if (!own.empty()) {
    images.error = fmt::format("{}: {}", name.string(), both_are(own, image.path, infrared));
    images.ambiguous = true;
  }
  images.name = name, own = image.path;
  images.files.push_back(image.path);
  if (image.error.empty())
    images.maps.push_back(prediction.counted_values());
  else if (images.error.empty())
    images.error = image.error;
  if (images.of_sensors[0].empty() || images.of_sensors[1].empty()) return std::nullopt;
  const ObjectVerdict verdict = verdict_on(images);
  remember(key, images.of_sensors);
  objects_.erase(key);
  return verdict;
}

ObjectVerdict ObjectJudge::verdict_on(const Images& images) const {
  ObjectVerdict verdict;
  verdict.name = images.name;
  verdict.files = images.files;
  verdict.images = static_cast<int64_t>(images.maps.size());
  verdict.threshold = threshold_;
  verdict.error = images.error;
  verdict.ambiguous = verdict.incomplete = images.ambiguous;
  for (const size_t sensor : {size_t{0}, size_t{1}}) {
    if (kind_ != ObjectKind::pairs || !images.of_sensors[sensor].empty()) continue;
    verdict.incomplete = true;
    if (!images.ambiguous)
      verdict.error =
          fmt::format("{}: its {} image is missing", verdict.name.string(), sensor == 0 ? "RGB" : "infrared");
  }
  if (!verdict.error.empty()) return verdict;
  verdict.score = object_score(images.maps, ratio_, kind_);
  verdict.anomalous = threshold_ && verdict.score > *threshold_;
  return verdict;
}

std::vector<ObjectVerdict> ObjectJudge::verdicts() const {
  std::vector<ObjectVerdict> verdicts;
  for (const auto& [key, images] : objects_) verdicts.push_back(verdict_on(images));
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
  if (!verdict.error.empty()) return fmt::format("{},,,,,,,,,{},,,,,,", name, csv_field(verdict.error));
  const std::string threshold = verdict.threshold ? fmt::format("{}", short_number(*verdict.threshold)) : "";
  const char* decision = !verdict.threshold ? "" : verdict.anomalous ? "true" : "false";
  return fmt::format("{},,,{},{},{},,,,,,,,,,", name, short_number(verdict.score), threshold, decision);
}

std::string to_text(const ObjectVerdict& verdict) {
  const std::string name = one_line(verdict.name.string());
  if (!verdict.error.empty())
    return fmt::format("{:<10} {:<8}  {}  ({})", "-", "-", name,
                       verdict.ambiguous    ? "two images of one sensor"
                       : verdict.incomplete ? "an image of it is missing"
                                            : "an image of it was not judged");
  const char* decision = !verdict.threshold ? "-" : verdict.anomalous ? "anomalous" : "good";
  return fmt::format("{:<10} {:.6f}  {}  (object of {})", decision, verdict.score, name,
                     counted(verdict.images, "image"));
}

}  // namespace dinomaly
