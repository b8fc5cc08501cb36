#include "dinomaly/cli/train_models.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "dinomaly/base/files.h"
#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/image/region_of_interest.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/training/fit_to_data.h"
#include "dinomaly/weights/encoder_hash.h"
#include "tensor/communicator.h"

namespace dinomaly {

namespace {

// What is trained together, and the folder its results go to.
struct Part {
  Dataset data;
  std::filesystem::path out;
};

std::vector<Part> parts_of(const Dataset& dataset, const TrainOptions& options) {
  if (!options.separate) return {{dataset, options.out}};
  std::vector<Part> parts;
  for (const Category& category : dataset.categories) {
    parts.push_back({dataset, options.out / category.name});
    parts.back().data.categories = {category};
  }
  return parts;
}

// Results over what the run reads, or over files that may not be replaced, are refused before it, not after it.
void check_results(const TrainOptions& options, const Dataset& dataset, const std::vector<Part>& parts) {
  CommandFiles files;
  if (const auto file = options.encoder_file()) files.reads_weights(*file);
  files.reads_data(options.data.value_or(""), dataset);
  std::set<std::filesystem::path> folders{options.out};
  for (const Part& part : parts) folders.insert(part.out);
  for (const std::filesystem::path& folder : folders) {
    for (const char* name : TrainRun::result_names) files.check_output("--out", folder / name);
  }
}

// A region that is not of the images is found out before the training, not when its thresholds are due.
void check_region(const TrainOptions& options, const std::vector<Part>& parts) {
  const RegionOfInterest roi = RegionOfInterest::parse(options.roi);
  for (const Part& part : parts) {
    std::vector<Sample> samples = test_samples(part.data);
    if (options.calibrate == "good")
      std::erase_if(samples, [](const Sample& sample) { return sample.anomalous; });
    region_for(roi, samples, options.config.image.pixels);
  }
}

// A folder belongs to one model, or to a folder for each category's. A run of the other kind would begin anew, beside
// results that its config.json no longer describes.
void check_kind_of_run(const TrainOptions& options, const std::vector<Part>& parts) {
  if (options.force) return;
  if (options.separate) {
    check_input(
        !TrainRun::has_been_in(options.out),
        "--separate: {}: an earlier run has trained one model for all categories here; use another --out",
        options.out.string());
  } else if (options.resume && !TrainRun::has_been_in(options.out)) {
    for (const Category& category : parts.at(0).data.categories)
      check_input(
          !TrainRun::has_been_in(options.out / category.name),
          "--resume: {}: an earlier run has trained one model per category here; --separate continues it",
          options.out.string());
  }
}

// What the test images cannot give is found out before the training, not after it.
void check_measurable(const TrainOptions& options, const Dataset& data) {
  std::string missing;
  bool can_be_evaluated = false;
  for (const Category& category : data.categories) {
    const std::string classes = missing_classes(category), all = missing_for_evaluation(category);
    const bool of_pixels = options.keep_best == "aupro" || options.keep_best.starts_with("pixel_");
    check_input(!of_pixels || !classes.empty() || all.empty(), "--keep-best: {}: {}, so there is no {}",
                category.name, all, options.keep_best);
    can_be_evaluated |= classes.empty();
    if (missing.empty() && !classes.empty()) missing = category.name + ": " + classes;
  }
  check_input(can_be_evaluated || options.eval_every == 0, "--eval-every: {}: nothing can be validated",
              missing);
  if (options.calibrate != "f1") return;
  Category all;
  all.test = test_samples(data);
  const std::string classes = missing_classes(all);
  check_input(classes.empty(),
              "--calibrate f1: {}; it takes good and anomalous ones, --calibrate good only good ones",
              classes);
}

// The signal that came meanwhile, to any process; 0: none.
int draw_data(const TrainOptions& options) {
  if (options.data) return 0;
  const StopSignal signals;
  draw_dataset(options, [] { return StopSignal::number() != 0; });
  const auto signal = static_cast<int>(communicator().largest(StopSignal::number()));
  if (signal != 0) fmt::print("stopped before the training began\n");
  return signal;
}

}  // namespace

int train_models(TrainOptions options, const StepSink& on_step) {
  const bool unused = is_unused_folder(options.out);
  const EncoderWeights encoder = open_encoder(options);
  // Options that do not fit the encoder are reported before anything is written; what they leave
  // open is filled.
  options.complete_config(encoder.config.depth, encoder.config.patch, encoder.config.channels);
  options.config = make_model(options, encoder)->config();
  const std::string encoder_hash = encoder_sha256(encoder.tensors);
  Communicator& processes = communicator();
  const bool writes = processes.is_first();
  std::optional<FolderLock> lock;
  if (!options.data && writes) lock.emplace(options.out);  // which the drawn images go to
  if (const int signal = draw_data(options); signal != 0) return 128 + signal;
  const Dataset dataset = open_dataset(options);
  fit_to_data(options, dataset, encoder.config.patch);
  const std::vector<Part> parts = parts_of(dataset, options);
  for (const Part& part : parts) check_measurable(options, part.data);
  check_region(options, parts);
  if (!lock && writes) lock.emplace(options.out);
  check_kind_of_run(options, parts);
  if (!options.resume && !options.force) {
    for (const Part& part : parts) TrainRun::check_free(part.out);
  }
  check_results(options, dataset, parts);
  processes.barrier();  // all have looked at what is there: now it may change
  std::vector<CategoryResult> all;
  RunSeconds total;
  for (const Part& part : parts) {
    if (options.separate) fmt::print("--- {}\n", part.data.categories[0].name);
    std::optional<FolderLock> own;
    if (options.separate && writes) own.emplace(part.out);
    make_folder(options.out);
    TrainRun run(options, encoder, encoder_hash, part.data, part.out);
    if (unused && writes) mark_result_folder(options.out);
    if (writes)
      write_file(options.out / "config.json", json_text(short_numbers(options.to_json()), 2) + "\n");
    const int signal = options.finish ? 0 : run.train(on_step);
    if (signal != 0) return 128 + signal;
    if (!writes) {
      run.help();
      continue;
    }
    for (CategoryResult& result : run.finish()) all.push_back(std::move(result));
    total.features += run.seconds().features;
    total.train += run.seconds().train;
    total.evaluate += run.seconds().evaluate;
  }
  if (options.separate && !all.empty()) {
    fmt::print("--- all\n");
    write_metrics(options.out / "metrics.json", all, options.config, total);
    print_metrics(all);
  }
  return 0;
}

}  // namespace dinomaly
