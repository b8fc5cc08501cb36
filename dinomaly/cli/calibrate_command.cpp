// dinomaly calibrate MODEL DATA: thresholds into the model file.
#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/inference/calibrate.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {

struct CalibrateFlags {
  DetectorFlags detector;
  DataFlags data;
  std::string out, method = "good", split = "auto";
  bool as_json = false;
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

// Adds the calibration to a file of ours without touching anything else in it.
void rewrite(const std::filesystem::path& from, const std::filesystem::path& to,
             const Calibration& calibration) {
  const SafeTensors file = SafeTensors::load(from);
  std::map<std::string, std::string> metadata = file.metadata();
  metadata["calibration"] = calibration.to_text();
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
  save_safetensors(to, tensors, metadata);
}

void print(const Calibration& calibration, const std::string& out) {
  const auto row = [](const std::string& name, const Thresholds& thresholds) {
    fmt::print("{:<16}{:>12.6f}{:>12.6f}\n", name, thresholds.image, thresholds.pixel);
  };
  fmt::print("{:<16}{:>12}{:>12}\n", "threshold of", "images", "pixels");
  for (const auto& [name, thresholds] : calibration.categories) row(name, thresholds);
  row("all", calibration.all);
  if (calibration.method == CalibrationMethod::good) {
    fmt::print("from {} good images: another good one is called anomalous with probability {:.4g} at most\n",
               calibration.good_images, calibration.promised_rate);
    if (calibration.promised_rate > calibration.false_alarm_rate * 1.0001) {
      fmt::print(
          "(a rate of {:.4g} would need {:.0f} good images; each threshold is the largest value seen)\n",
          calibration.false_alarm_rate, std::ceil(1 / calibration.false_alarm_rate - 1 - 1e-9));
    }
  } else {
    fmt::print("the largest F1 on {} good and {} anomalous images\n", calibration.good_images,
               calibration.anomalous_images);
  }
  fmt::print("written to {}\n", out);
}

int run_calibrate(CalibrateFlags& options) {
  options.calibration.method = parse_calibration_method(options.method);
  const double rate = options.calibration.false_alarm_rate;
  check_input(rate > 0 && rate < 1, "--false-alarm-rate: {} is not between 0 and 1", rate);
  validate(options.calibration.tiling);
  const Dataset dataset = open_data(options.data);
  const std::vector<Sample> samples = choose(options, dataset);
  const Detector detector = open_detector(options.detector);
  const bool own = detector.kind == DetectorKind::own;
  check_input(own || !options.out.empty(),
              "{}: not a file of this program; name the file to write with --out", options.detector.model);
  const std::string out = options.out.empty() ? options.detector.model : options.out;

  prepare_target(out);

  int64_t total = 0;
  for (const Sample& sample : samples)
    total += options.calibration.method == CalibrationMethod::f1 || !sample.anomalous;
  Calibration calibration;
  {
    Progress progress("calibrate", total);
    options.calibration.batch = options.detector.batch;
    options.calibration.progress = [&] { progress.advance(); };
    calibration = calibrate(*detector.model, samples, options.calibration);
  }
  if (own) {
    rewrite(options.detector.model, out, calibration);
  } else {
    detector.model->to(Device::cpu());
    save_model(out, *detector.model, detector.model->encoder().config(), {.calibration = calibration});
  }
  if (options.as_json)
    fmt::print("{}\n", json_text(calibration.to_json(), 2));
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
      "  dinomaly calibrate model.safetensors mvtec --method f1 --out calibrated.safetensors");
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
  add_tiling_flags(*command, options->calibration.tiling);
  command->callback([options, &work] { work = [options] { return run_calibrate(*options); }; });
}

}  // namespace dinomaly
