#include "dinomaly/cli/run_identity.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/data/file_hashes.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// By category. Names alone do not tell images that were taken anew from those that a checkpoint has seen.
json hashes_of(const std::vector<Sample>& samples) {
  const std::vector<std::string> hashes = hashes_of_files(samples);
  std::map<std::string, Sha256> categories;
  for (size_t i = 0; i < samples.size(); ++i) categories[samples[i].category].update(hashes[i] + "\n");
  json result = json::object();
  for (auto& [category, hash] : categories) result[utf8(category)] = hash.hex();
  return result;
}

void check_same_images(const json& identity, const json& then, const std::string& checkpoint) {
  check_input(then.value("images", json()) == identity["images"],
              "--resume: the data or --categories give other training images than the checkpoint's");
  for (const auto& [part, what] : {std::pair{"training_files", "training"}, {"test_files", "test"}}) {
    if (!then.contains(part)) {
      fmt::print(
          "note: {} is of an earlier version: that the {} images are the same is known by their names only\n",
          checkpoint, what);
      continue;
    }
    for (const auto& [category, hash] : identity[part].items())
      check_input(
          then[part].is_object() && then[part].value(category, json()) == hash,
          "--resume: the {} images of category '{}' have changed since the checkpoint was written: their "
          "names are the same, their files are not",
          what, category);
  }
}

}  // namespace

json run_identity(const TrainOptions& options, const Config& config, const std::string& encoder_hash,
                  const std::vector<Sample>& training, const std::vector<Sample>& test) {
  Sha256 images;
  for (const Sample& sample : training) images.update(sample.category + "/" + sample.id + "\n");
  return {{"config", config.to_json()},
          {"encoder", encoder_hash},
          {"images", images.hex()},
          {"training_files", hashes_of(training)},
          {"test_files", options.eval_every > 0 ? hashes_of(test) : json::object()},
          {"precision", options.precision},
          {"feature_dtype", options.feature_dtype},
          {"shots", options.shots},
          {"eval_every", options.eval_every},
          {"keep_best", options.keep_best},
          {"device", options.device.to_string()}};
}

void check_same_run(const json& identity, const Checkpoint& saved) {
  const json then = json::parse(saved.text("identity"), nullptr, false);
  check_input(then.is_object() && then.contains("config") && then["config"].is_object(),
              "{}: not the checkpoint of a training run", saved.path.string());
  const json options_then = with_old_options(then["config"]);
  const json options = with_old_options(identity["config"]);
  for (const auto& [name, value] : options.items()) {
    const json other = options_then.value(name, json());
    const bool longer = name == "iterations" && other.is_number_integer() && other < value;
    check_input(longer || other == value,
                "--resume: option '{}' is {}, but the checkpoint was trained with {}", name,
                short_numbers(value).dump(), short_numbers(other).dump());
  }
  for (const char* name : {"precision", "feature_dtype", "shots", "eval_every", "keep_best"}) {
    const json older = name == std::string("shots") ? json(0) : json();  // of checkpoints that do not say
    const json other = then.value(name, older);
    check_input(other == identity[name],
                "--resume: option '{}' is {}, but the checkpoint was trained with {}", name,
                identity[name].dump(), other.dump());
  }
  check_input(then.value("encoder", json()) == identity["encoder"],
              "--resume: --encoder has other weights than the checkpoint was trained with");
  check_same_images(identity, then, saved.path.string());
  const json iterations = identity["config"]["iterations"], before = options_then["iterations"];
  if (iterations != before) {
    fmt::print("note: {}, before {}: the learning rate follows the longer schedule from here on\n",
               counted(iterations.get<int64_t>(), "iteration"), before.dump());
  }
  if (const json device = then.value("device", json("cpu")); device != identity["device"]) {
    fmt::print("note: on {}, before on {}: the numbers will differ from an uninterrupted run\n",
               identity["device"].dump(), device.dump());
  }
}

}  // namespace dinomaly
