// dinomaly calibrate MODEL DATA: thresholds into the model file.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

#include "dinomaly/base/file_version.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/earlier_thresholds.h"
#include "dinomaly/cli/with_helpers.h"
#include "dinomaly/data/image_folder.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {

struct CalibrateFlags {
  DetectorFlags detector;
  DataFlags data;
  std::string out, method = "good", split = "auto";
  bool as_json = false, force = false;
  InspectionFlags inspection;
  CalibrationOptions calibration;
};

// The images to look at. Those the model was trained on would promise too much: test images go first.
std::vector<Sample> choose(const CalibrateFlags& options, const Dataset& dataset) {
  check_input(options.split == "auto" || options.split == "test" || options.split == "train",
              "--split: '{}' is not one of auto, test, train", options.split);
  std::vector<Sample> test, train;
  bool good = false;
  for (const Category& category : dataset.categories) {
    test.insert(test.end(), category.test.begin(), category.test.end());
    train.insert(train.end(), category.train.begin(), category.train.end());
  }
  for (const Sample& sample : test) good = good || !sample.anomalous;
  if (options.split == "test" || (options.split == "auto" && good)) return test;
  if (options.split == "auto") {
    fmt::print(
        stderr,
        "{}: no good test images; using the training images. If the model was trained on them, expect more "
        "false alarms than stated\n",
        options.data.data);
  }
  return train;
}

// Adds the calibration to a file of ours without touching anything else in it. `judged`: the version that it was found with.
void rewrite(const std::filesystem::path& from, const FileVersion& judged, const std::filesystem::path& to,
             const Calibration& calibration) {
  const SafeTensors file = SafeTensors::read(from);
  check_input(
      file_version(from) == judged,
      "{}: it changed while images were judged: the thresholds found are not those of what it is now, and "
      "are not written",
      from.string());
  std::map<std::string, std::string> metadata = file.metadata();
  metadata["calibration"] = calibration.to_text();
  metadata["calibration_of"] = judging_hash(metadata);
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
  save_safetensors(to, tensors, metadata);
}

void print(const Calibration& calibration, const std::string& out) {
  const auto row = [](const std::string& name, const Thresholds& thresholds) {
    fmt::print("{:<16}{:>12.6f}{:>12.6f}", name, thresholds.image, thresholds.pixel);
    fmt::print("{}\n", thresholds.object ? fmt::format("{:>12.6f}", *thresholds.object) : "");
  };
  const bool objects = calibration.objects != ObjectKind::none;
  fmt::print("{:<16}{:>12}{:>12}{}\n", "threshold of", "images", "pixels", objects ? "     objects" : "");
  for (const auto& [name, thresholds] : calibration.categories) row(name, thresholds);
  row("all", calibration.all);
  if (calibration.method == CalibrationMethod::good) {
    fmt::print("from {}: another good one is called anomalous with probability {:.4g} at most\n",
               counted(calibration.good_images, "good image"), calibration.promised_rate);
    if (calibration.good_images < images_needed(calibration.false_alarm_rate)) {
      fmt::print("(a rate of {:.4g} would need {}; each threshold is the largest value seen)\n",
                 calibration.false_alarm_rate,
                 counted(images_needed(calibration.false_alarm_rate), "good image"));
    }
    if (objects)
      fmt::print("from {} of several images: another one with probability {:.4g} at most\n",
                 counted(calibration.good_objects, "good object"),
                 promised_rate(calibration.good_objects, calibration.false_alarm_rate));
  } else {
    fmt::print("the largest F1 on {} good and {}\n", calibration.good_images,
               counted(calibration.anomalous_images, "anomalous image"));
  }
  fmt::print("found with {}, written to {}\n", flags_of(calibration.inspection), out);
}

bool by_good(const CalibrateFlags& options) { return options.calibration.method == CalibrationMethod::good; }

// What was found wrong: thresholds that are there already stay, unless --force says otherwise.
void object(const CalibrateFlags& options, bool replaces, const std::string& objection) {
  check_input(options.force || !replaces,
              "{}; the thresholds of {} stay as they are (--force replaces them, --out writes another file)",
              objection, options.detector.model);
  print_error("dinomaly: {}\n", objection);
}

// Defects given as a plain folder or in a list would pass for good parts; other layouts say by themselves what is good.
void check_no_defects(const CalibrateFlags& options, const Dataset& dataset) {
  if (options.force || !by_good(options)) return;
  std::error_code ignored;
  const bool listed = std::filesystem::is_regular_file(dataset.root, ignored);
  std::set<std::filesystem::path> folders;
  for (const Category& category : dataset.categories) {
    for (const std::vector<Sample>& samples : {category.train, category.test}) {
      for (const Sample& sample : samples) {
        if (!sample.anomalous) folders.insert(sample.image.parent_path());
      }
    }
  }
  std::erase_if(folders, [&](const std::filesystem::path& folder) {
    return !listed && !std::filesystem::equivalent(folder, dataset.root, ignored);
  });
  for (const std::filesystem::path& folder : folders) {
    check_input(!names_defects(folder),
                "{}: its name or place says that these parts are defective, and thresholds are found on good "
                "ones (--force takes them as good)",
                folder.string());
  }
}

// The fewest images that a threshold is made of.
int64_t images_for_a_threshold(const CalibrateFlags& options, const std::vector<Sample>& used) {
  if (!options.calibration.per_category) return static_cast<int64_t>(used.size());
  std::map<std::string, int64_t> counts;
  for (const Sample& sample : used) ++counts[sample.category];
  int64_t fewest = static_cast<int64_t>(used.size());
  for (const auto& [name, count] : counts) fewest = std::min(fewest, count);
  return fewest;
}

void check_enough(const CalibrateFlags& options, const std::vector<Sample>& used, bool replaces) {
  const double rate = options.calibration.false_alarm_rate;
  const int64_t count = images_for_a_threshold(options, used), needed = images_needed(rate);
  if (!by_good(options) || used.empty() || count >= needed) return;
  const double possible =
      std::ceil(promised_rate(count, rate) * 1e4) / 1e4;  // not less than they can promise
  object(options, replaces,
         fmt::format("{}: {} cannot promise a false alarm rate of {:.4g}: that takes {}; they can "
                     "promise --false-alarm-rate {:.4f}",
                     options.data.data, counted(count, "good image"), rate, needed, possible));
}

// Those that can be judged without tiles.
std::vector<Sample> without_large(std::vector<Sample> samples, int64_t channels) {
  std::erase_if(samples, [channels](const Sample& sample) {
    const PixelLayout layout = open_picture(sample.image, strip_limits, channels)->layout();
    return !ReadLimits{}.hold(layout.width, layout.height);
  });
  return samples;
}

// Those that an earlier region of interest can be of.
std::vector<Sample> that_fit(std::vector<Sample> samples, const RegionOfInterest& roi,
                             const PixelRules& rules) {
  if (!roi.on()) return samples;
  std::erase_if(samples, [&](const Sample& sample) {
    const ImageSize size = picture_size(sample, rules);
    return !roi.misfit(size.width, size.height).empty();
  });
  return samples;
}

// Without the flag a region would go unnoticed, and thresholds of whole images come in its place.
void check_region_kept(const CalibrateFlags& options, const Detector& detector, bool replaces) {
  if (!replaces || options.force || options.inspection.roi || !detector.calibration->inspection.roi.on())
    return;
  const std::string flag = detector.calibration->inspection.roi.flag();
  fail_input(
      "{}: its thresholds were found with {}; say that again, --roi none to count whole images, or --force",
      options.detector.model, flag);
}

// In the same run over the images where they are inspected as they were then.
Calibration find(CalibrateFlags& options, const Detector& detector, const std::vector<Sample>& all,
                 const std::vector<Sample>& used, bool replaces) {
  options.calibration.batch = options.detector.batch;
  const bool compares = by_good(options) && detector.calibration.has_value();
  EarlierThresholds earlier(detector.calibration.value_or(Calibration{}));
  const bool same = compares && detector.calibration->inspection == options.calibration.inspection;
  std::vector<Sample> compared;
  if (compares && !same)
    compared = detector.calibration->inspection.tiling.on()
                   ? used
                   : without_large(used, detector.config().image.pixels.channels);
  if (compares && !same)
    compared =
        that_fit(std::move(compared), detector.calibration->inspection.roi, detector.config().image.pixels);
  std::optional<Progress> progress;
  options.calibration.progress = [&] { progress->advance(); };
  if (same) {
    options.calibration.also = [&](const Sample& sample, const Prediction& prediction) {
      earlier.add(sample, prediction);
    };
  }
  options.calibration.begin = [&](const Calibrator& calibrator) {
    if (const std::string repeats = calibrator.repeats(); !repeats.empty())
      print_error("dinomaly: {}: {}\n", options.data.data, repeats);
    check_enough(options, calibrator.counted(), replaces);
    progress.emplace("calibrate", static_cast<int64_t>(used.size() + compared.size()));
    if (same || !compares) return;
    for_each_prediction(Predictor(*detector.model, detector.calibration->inspection, options.detector.batch),
                        compared,
                        {[&](const Sample& sample, const InputImage&, const Prediction& prediction) {
                          earlier.add(sample, prediction);
                          progress->advance();
                        }});
  };
  Calibration calibration = calibrate(*detector.model, all, options.calibration);
  progress.reset();
  if (compares && earlier.doubt())
    object(options, replaces, fmt::format("{}: {}", options.data.data, earlier.text()));
  const std::string lost = lost_thresholds(detector.calibration, calibration);
  if (!lost.empty()) object(options, replaces, fmt::format("{}: {}", options.data.data, lost));
  return calibration;
}

// Whether writing to `out` takes thresholds away.
bool replaces_thresholds(const CalibrateFlags& options, const Detector& detector, const std::string& out) {
  std::error_code ignored;
  return detector.calibration &&
         (out == options.detector.model || std::filesystem::equivalent(out, options.detector.model, ignored));
}

// MODEL itself is what a model of this program is calibrated in.
void check_output(const CalibrateFlags& options, const Dataset& dataset, bool own, const std::string& out) {
  CommandFiles files;
  if (!own) files.reads_weights(options.detector.model);
  if (!options.detector.encoder.empty()) files.reads_weights(options.detector.encoder);
  files.reads_data(options.data.data, dataset);
  files.writes(options.out.empty() ? "MODEL" : "--out", out);
}

int run_calibrate(CalibrateFlags& options) {
  options.calibration.method = parse_calibration_method(options.method);
  check_false_alarm_rate(options.calibration.false_alarm_rate);
  options.calibration.inspection = inspection_of(options.inspection, {});
  const Dataset dataset = open_data(options.data);
  check_no_defects(options, dataset);
  const std::vector<Sample> all = choose(options, dataset);
  std::vector<Sample> used = all;
  if (by_good(options)) std::erase_if(used, [](const Sample& sample) { return sample.anomalous; });
  const FileVersion judged = file_version(options.detector.model);
  const Detector detector = open_detector(options.detector);
  check_fits(detector, options.detector.model, used);
  const bool own = detector.kind == DetectorKind::own;
  check_input(own || !options.out.empty(),
              "{}: not a file of this program; name the file to write with --out", options.detector.model);
  const std::string out = options.out.empty() ? options.detector.model : options.out;
  check_output(options, dataset, own, out);
  const bool replaces = replaces_thresholds(options, detector, out);
  check_region_kept(options, detector, replaces);
  RegionOfInterest& roi = options.calibration.inspection.roi;
  roi = region_for(roi, used, detector.config().image.pixels);
  const Calibration calibration = find(options, detector, all, used, replaces);
  if (own) {
    rewrite(options.detector.model, judged, out, calibration);
  } else {
    detector.model->to(Device::cpu());
    save_model(out, *detector.model, detector.model->encoder().config(), {.calibration = calibration});
  }
  if (options.as_json)
    fmt::print("{}\n", json_text(short_numbers(calibration.summary(), printed_digits), 2));
  else
    print(calibration, out);
  return 0;
}

}  // namespace

void add_calibrate(CLI::App& app, Work& work) {
  auto options = std::make_shared<CalibrateFlags>();
  CLI::App* command = app.add_subcommand("calibrate", "find decision thresholds and store them in the model");
  command->footer(
      "Examples:\n"
      "  dinomaly calibrate model.safetensors mvtec/bottle-data\n"
      "  dinomaly calibrate model.safetensors mvtec --categories bottle,pill --per-category "
      "--false-alarm-rate 0.02\n"
      "  dinomaly calibrate model.safetensors mvtec --method f1 --out calibrated.safetensors\n"
      "  dinomaly calibrate model.safetensors good-frames --roi 200,80,640,480   # what predict then counts, "
      "too");
  add_detector_flags(*command, options->detector);
  add_data_flags(*command, options->data);
  command
      ->add_option("--method", options->method,
                   "good (from good images alone) or f1 (the largest F1 on labelled images)")
      ->capture_default_str();
  command
      ->add_option("--false-alarm-rate", options->calibration.false_alarm_rate,
                   "share of good images that may be called anomalous")
      ->capture_default_str();
  command->add_flag("--per-category", options->calibration.per_category,
                    "also store thresholds for each category");
  command
      ->add_option("--split", options->split,
                   "which images: test, train, or auto (test if it has good images)")
      ->capture_default_str();
  command->add_option("--out", options->out, "the model file to write (default: MODEL itself)");
  command->add_flag("--json", options->as_json, "print the thresholds as one JSON object");
  add_inspection_flags(*command, options->inspection, "whole", "none");
  command->add_flag(
      "--force", options->force,
      "replace the model's thresholds even where DATA speaks against it: too few images for the "
      "rate, a folder of defects, images that look anomalous");
  command->callback([options, &work] {
    work = with_helpers([options] { return run_calibrate(*options); }, options->detector);
  });
}

}  // namespace dinomaly
