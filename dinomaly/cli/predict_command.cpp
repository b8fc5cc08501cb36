// dinomaly predict MODEL IMAGES: scores, decisions, regions, overlays, maps.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/image_source.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/report/prediction_output.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

struct PredictFlags {
  DetectorFlags detector;
  std::vector<std::string> inputs;
  std::string watched, out, maps = "none", category;
  std::optional<double> threshold, pixel_threshold;
  int64_t min_area = 1;
  std::optional<int64_t> tile, overlap;
  bool json = false, no_overlay = false, fail_on_anomaly = false;
};

// The tiling asked for, otherwise that of the calibration: its thresholds hold for no other.
Tiling tiling_of(const PredictFlags& options, const std::optional<Calibration>& calibration) {
  if (!options.tile && !options.overlap) return calibration ? calibration->tiling : Tiling{};
  check_input(options.tile.has_value(), "--overlap: there is nothing to overlap without --tile");
  const Tiling tiling{*options.tile, options.overlap.value_or(*options.tile / 4)};
  validate(tiling);
  if (calibration && !(calibration->tiling == tiling) && !options.threshold) {
    fmt::print(
        stderr,
        "dinomaly: the thresholds of {} were found {}; run calibrate with the same --tile and --overlap, "
        "or give --threshold\n",
        options.detector.model,
        calibration->tiling.on() ? fmt::format("with --tile {} --overlap {}", calibration->tiling.size,
                                               calibration->tiling.overlap)
                                 : "without tiles");
  }
  return tiling;
}

OutputOptions output_options(const PredictFlags& options, const std::optional<Calibration>& calibration) {
  OutputOptions output;
  output.folder = options.out;
  output.overlays = !options.no_overlay;
  output.maps = parse_map_format(options.maps);
  output.smallest_region = options.min_area;
  check_input(output.maps == MapFormat::none || !options.out.empty(),
              "--map-format: needs --out, the folder to write them to");
  if (calibration) {
    check_input(options.category.empty() || calibration->categories.contains(options.category),
                "--category: {} has no thresholds of '{}' (calibrate --per-category)", options.detector.model,
                options.category);
    const Thresholds& thresholds = calibration->of(options.category);
    output.image_threshold = thresholds.image;
    output.pixel_threshold = thresholds.pixel;
    output.colours = calibration->colours;
  } else {
    check_input(options.category.empty(), "--category: {} is not calibrated", options.detector.model);
  }
  if (options.threshold) output.image_threshold = options.threshold;
  if (options.pixel_threshold) output.pixel_threshold = options.pixel_threshold;
  check_input(!options.fail_on_anomaly || output.image_threshold.has_value(),
              "--fail-on-anomaly: {} is not calibrated; run calibrate or give --threshold",
              options.detector.model);
  return output;
}

// What happens with a prediction.
class Writer {
 public:
  Writer(const PredictFlags& options, OutputOptions output, Progress& progress)
      : options_(options),
        output_(std::move(output)),
        names_(options.inputs, options.watched),
        progress_(progress) {}

  void write(const InputImage& image, const Prediction& prediction) {
    Verdict verdict;
    if (image.error.empty()) {
      verdict = write_prediction(image, prediction, names_(image.path), output_);
    } else {
      verdict.path = image.path;
      verdict.error = image.error;
      progress_.make_room();
      fmt::print(stderr, "dinomaly: {}\n", one_line(image.error));
      damaged_ = true;
    }
    anomalous_ = anomalous_ || verdict.anomalous;
    print(verdict);
    progress_.advance();
    flush_output();
  }

  bool any_anomalous() const { return anomalous_; }
  bool any_damaged() const { return damaged_; }

 private:
  void print(const Verdict& verdict) {
    progress_.make_room();
    if (options_.json) {
      fmt::print("{}\n", json_text(to_json(verdict)));
    } else if (verdict.error.empty()) {
      fmt::print("{}\n", to_text(verdict));
    }
  }

  const PredictFlags& options_;
  OutputOptions output_;
  OutputNames names_;
  Progress& progress_;
  bool anomalous_ = false, damaged_ = false;
};

// Files written into the watched folder would be taken for new images.
void check_folders(const PredictFlags& options) {
  if (options.watched.empty() || options.out.empty()) return;
  std::error_code ignored;
  check_input(!std::filesystem::equivalent(options.watched, options.out, ignored),
              "--out: the results cannot go into the folder that is watched");
}

int run_predict(const PredictFlags& options) {
  check_input(options.min_area >= 1, "--min-area: {} is not positive", options.min_area);
  parse_map_format(options.maps);
  ImageSource source(options.inputs, options.watched);
  if (!options.out.empty()) make_folder(options.out);
  check_folders(options);
  const Detector detector = open_detector(options.detector);
  const OutputOptions output = output_options(options, detector.calibration);
  const Predictor predictor(*detector.model, tiling_of(options, detector.calibration),
                            options.detector.batch);

  const StopSignal signals;  // what is being judged and written is finished
  if (!options.watched.empty())
    fmt::print(stderr, "dinomaly: watching {}; Ctrl-C ends it\n", options.watched);
  Progress progress("predict", source.total());
  Writer writer(options, output, progress);
  ReadAhead images([&](std::stop_token stop) { return source.next(stop); },
                   [&](const Image& rgb) { return predictor.inputs(rgb); },
                   {.most_ahead = static_cast<size_t>(2 * options.detector.batch)});
  for_each_prediction(predictor, images, {[&](const InputImage& image, const Prediction& prediction) {
                        writer.write(image, prediction);
                      }});
  // A watch sees files in the making and is ended on purpose: they were reported, and are no failure.
  if (options.watched.empty()) {
    if (const int signal = StopSignal::number(); signal != 0) return 128 + signal;
    if (writer.any_damaged()) return 2;
  }
  return options.fail_on_anomaly && writer.any_anomalous() ? 1 : 0;
}

}  // namespace

void add_predict(CLI::App& app, Work& work) {
  auto options = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "judge images: score, decision, regions, overlay, map");
  command->footer(
      "Exit status: 0 done, 1 an image is anomalous (with --fail-on-anomaly), 2 an image could not be "
      "read, 130 or 143 stopped by SIGINT or SIGTERM\n"
      "Examples:\n"
      "  dinomaly predict model.safetensors part.png --out results\n"
      "  dinomaly predict model.safetensors images/ --json --map-format tiff --out results > results.jsonl\n"
      "  find /data -name '*.png' | dinomaly predict model.safetensors - --fail-on-anomaly\n"
      "  dinomaly predict model.safetensors sheet.png --tile 512 --overlap 128 --out results\n"
      "  dinomaly predict model.safetensors --watch incoming --out results\n"
      "Pixels are used as stored in the file: an EXIF orientation is ignored.");
  add_detector_flags(*command, options->detector);
  command->add_option("IMAGES", options->inputs, "files, folders, or - for paths on standard input");
  command->add_option(
      "--watch", options->watched,
      "judge images as they arrive in this folder, until Ctrl-C; to judge those already in it, also name it "
      "among IMAGES");
  command->add_option("--out", options->out, "folder for overlays and maps");
  command
      ->add_option("--map-format", options->maps,
                   "raw maps of the images' size: none, tiff (32-bit float) or npy")
      ->capture_default_str();
  command->add_flag("--no-overlay", options->no_overlay, "write no overlays");
  command->add_flag("--json", options->json, "JSON Lines, one object per image, instead of text");
  command->add_flag("--fail-on-anomaly", options->fail_on_anomaly, "exit status 1 if any image is anomalous");
  command->add_option("--threshold", options->threshold,
                      "scores above this are anomalous (default: the calibrated threshold)");
  command->add_option("--pixel-threshold", options->pixel_threshold, "map values above this form regions");
  command->add_option("--category", options->category,
                      "use the thresholds of this category (calibrate --per-category)");
  command->add_option("--min-area", options->min_area, "smallest region, in pixels")->capture_default_str();
  command->add_option("--tile", options->tile, "judge large images in tiles of this many pixels per side");
  command->add_option("--overlap", options->overlap,
                      "pixels shared by neighbouring tiles (default: a quarter of a tile)");
  command->callback([options, &work] { work = [options] { return run_predict(*options); }; });
}

}  // namespace dinomaly
