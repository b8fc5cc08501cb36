// dinomaly report MODEL DATA: one HTML file to show.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/report/html_report.h"

namespace dinomaly {

namespace {

struct ReportFlags {
  DetectorFlags detector;
  DataFlags data;
  std::string out, log, title;
  int64_t images = 200;
};

// The log asked for, otherwise the one `train` has left beside the model, if any.
std::filesystem::path log_of(const ReportFlags& options) {
  if (!options.log.empty()) return options.log;
  const auto beside = std::filesystem::path(options.detector.model).parent_path() / "log.csv";
  std::error_code ignored;
  return std::filesystem::is_regular_file(beside, ignored) ? beside : std::filesystem::path();
}

int run_report(const ReportFlags& options) {
  HtmlReportInput input;
  input.dataset = open_labelled_data(options.data);
  if (const std::filesystem::path log = log_of(options); !log.empty()) input.loss = read_loss_curve(log);
  const Detector detector = open_detector(options.detector);
  input.calibration = detector.calibration;
  input.config = detector.config();
  input.model = std::filesystem::path(options.detector.model).filename().string();
  input.title = options.title.empty() ? "Anomaly detection report" : options.title;
  input.images = options.images;
  prepare_target(options.out);
  int64_t total = 0;
  for (const Category& category : input.dataset.categories) {
    total += static_cast<int64_t>(category.test.size());
  }
  {
    Progress progress("report", total);
    for (const Category& category : input.dataset.categories) {
      input.results.push_back(
          evaluate(*detector.model, category, options.detector.batch, [&] { progress.advance(); }));
    }
  }
  const std::string page = report_page(report_data(input));
  write_file(options.out, page);
  fmt::print("{}: {:.1f} MB\n", options.out, static_cast<double>(page.size()) / 1e6);
  return 0;
}

}  // namespace

void add_report(CLI::App& app, Work& work) {
  auto options = std::make_shared<ReportFlags>();
  CLI::App* command =
      app.add_subcommand("report", "write one HTML file: metrics, curves, an adjustable threshold, images");
  command->footer(
      "Examples:\n"
      "  dinomaly report model.safetensors mvtec --out report.html\n"
      "  dinomaly report model.safetensors mvtec --categories bottle --title Bottles --out bottles.html");
  add_detector_flags(*command, options->detector);
  add_data_flags(*command, options->data);
  command->add_option("--out", options->out, "the file to write")->required();
  command->add_option("--log", options->log,
                      "the training log, for the loss curve (default: log.csv beside MODEL)");
  command->add_option("--title", options->title, "heading of the report");
  command->add_option("--images", options->images, "the most images in the gallery, worst first")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{100000}));
  command->callback([options, &work] { work = [options] { return run_report(*options); }; });
}

}  // namespace dinomaly
