// dinomaly report MODEL DATA: one HTML file to show.
#include <CLI/CLI.hpp>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/cli/with_helpers.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/report/html_report.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

struct ReportFlags {
  DetectorFlags detector;
  DataFlags data;
  std::string out, log, title;
  int64_t images = 200;
  std::optional<std::string> area;
};

// The log asked for, otherwise the one `train` has left beside the model, if any.
std::filesystem::path log_of(const ReportFlags& options) {
  if (!options.log.empty()) return options.log;
  const auto beside = std::filesystem::path(options.detector.model).parent_path() / "log.csv";
  std::error_code ignored;
  return std::filesystem::is_regular_file(beside, ignored) ? beside : std::filesystem::path();
}

// Date and time here, as "2026-01-31 09:05".
std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts)};
}

// Its file's name, if the model knows it, and its shape.
std::string describe_encoder(const Detector& detector) {
  const auto name = detector.metadata.find("encoder");
  const EncoderConfig& shape = detector.model->encoder().config();
  return fmt::format("{}ViT of width {} with {}, patches of {} x {} pixels{}{}",
                     name == detector.metadata.end() ? "" : printable(name->second) + ": ", shape.width,
                     counted(shape.depth, "block"), shape.patch, shape.patch,
                     shape.channels != 3 ? ", " + counted(shape.channels, "channel") : "",
                     shape.registers > 0 ? ", " + counted(shape.registers, "register") : "");
}

// As the thresholds were found; the report judges no tiles.
Inspection inspection_of(const ReportFlags& options, const std::optional<Calibration>& calibration) {
  Inspection inspection;
  if (options.area)
    inspection.area = parse_area(*options.area);
  else if (calibration)
    inspection.area = calibration->inspection.area;
  check_input(
      !calibration || !calibration->inspection.tiling.on(),
      "{}: its thresholds were found with {}, and the report judges images without tiles; run calibrate "
      "without --tile (--out writes another file)",
      options.detector.model, calibration ? flags_of(calibration->inspection) : "");
  if (calibration) inspection.roi = calibration->inspection.roi;
  check_thresholds_fit(options.detector.model, calibration, inspection);
  return inspection;
}

// How many images it has taken away: those whose defects all lie outside of the region are neither good nor anomalous in it.
int64_t leave_out_beside(Dataset& dataset, const RegionOfInterest& roi, const PixelRules& rules) {
  if (!roi.on()) return 0;
  const auto beside = [&](const Sample& sample) {
    if (!sample.anomalous || !sample.mask) return false;
    const ImageSize size = picture_size(sample, rules);
    return roi.misfit(size.width, size.height).empty() &&  // or it is refused later, by its name
           shows_defect_elsewhere(sample, roi, size.width, size.height);
  };
  int64_t count = 0;
  for (Category& category : dataset.categories)
    count += static_cast<int64_t>(std::erase_if(category.test, beside));
  return count;
}

int run_report(const ReportFlags& options) {
  HtmlReportInput input;
  input.date = now();
  input.version = DINOMALY_VERSION;
  input.data = options.data.data;
  CommandFiles files = files_read(options.detector);
  files.reads(log_of(options));
  const bool to_output = options.out == "-";
  if (!to_output) files.check_output("--out", options.out);
  const Detector detector = open_detector(options.detector);
  input.dataset = open_labelled_data(options.data, options.detector, &detector);
  files.reads_data(options.data.data, input.dataset);
  if (const std::filesystem::path log = log_of(options); !log.empty()) input.loss = read_loss_curve(log);
  const Inspection inspection = inspection_of(options, detector.calibration);
  input.calibration = detector.calibration;
  input.config = inspecting_config(*detector.model, inspection);
  input.roi = inspection.roi;
  input.beside = leave_out_beside(input.dataset, input.roi, input.config.image.pixels);
  input.encoder = describe_encoder(detector);
  input.precision = is_quantized(*detector.model)
                        ? "int8"
                        : name_of(detector.model->named_trained_parameters().front().second.value().dtype());
  input.trained_here = detector.kind == DetectorKind::own;
  input.model = std::filesystem::path(options.detector.model).filename().string();
  input.title = options.title.empty() ? "Anomaly detection report" : options.title;
  input.images = options.images;
  if (!to_output) files.writes("--out", options.out);
  int64_t total = 0;
  for (const Category& category : input.dataset.categories) {
    total += static_cast<int64_t>(category.test.size());
  }
  {
    Progress progress("report", total);
    const Predictor predictor(*detector.model, inspection, options.detector.batch);
    const SampleSink count = [&](const Sample&, const InputImage&, const Prediction&) { progress.advance(); };
    for (const Category& category : input.dataset.categories)
      input.results.push_back(evaluate(predictor, category, {count}));
  }
  const std::string page = report_page(report_data(input));
  if (to_output) {
    fmt::print("{}", page);
    return 0;
  }
  write_file(options.out, page);
  fmt::print("{}: {:.1f} MB\n", options.out, static_cast<double>(page.size()) / 1e6);
  return 0;
}

}  // namespace

void add_report(CLI::App& app, Work& work) {
  auto options = std::make_shared<ReportFlags>();
  CLI::App* command = app.add_subcommand(
      "report",
      "write one HTML file: a verdict, metrics with intervals, curves, an adjustable threshold, images");
  command->footer(
      "Examples:\n"
      "  dinomaly report model.safetensors mvtec --out report.html\n"
      "  dinomaly report model.safetensors mvtec --categories bottle --title Bottles --out bottles.html");
  add_detector_flags(*command, options->detector);
  add_data_flags(*command, options->data);
  command->add_option("--out", options->out, "the file to write; -: standard output")->required();
  command->add_option("--log", options->log,
                      "the training log, for the loss curve (default: log.csv beside MODEL)");
  command->add_option("--title", options->title, "heading of the report");
  command->add_option("--images", options->images, "the most images in the gallery, worst first")
      ->capture_default_str()
      ->check(from_to(0, 100000));
  command->add_option("--area", options->area,
                      "what is judged of an image: whole, or crop (the paper's centre crop); default: as the "
                      "thresholds were found, whole without any");
  command->callback([options, &work] {
    work = with_helpers([options] { return run_report(*options); }, options->detector);
  });
}

}  // namespace dinomaly
