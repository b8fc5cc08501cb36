// dinomaly eval MODEL DATA: the metrics of a labelled data set.
#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/files.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/evaluation/evaluate_official.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/inference/image_stream.h"
#include "dinomaly/report/table.h"

namespace dinomaly {

namespace {

struct Options {
  DetectorFlags detector;
  DataFlags data;
  std::string protocol = "paper", json, csv, maps;
  Tiling tiling;
};

// Every map at its image's own size, in the order of the samples.
void predict_all(const Predictor& predictor, const std::vector<Sample>& samples, int64_t batch,
                 const std::function<void(const Sample&, const Tensor&)>& take) {
  size_t next = 0, done = 0;
  ImageStream stream(
      [&](std::stop_token) {
        return next < samples.size() ? std::optional(samples[next++].image) : std::nullopt;
      },
      [&](const Image& rgb) { return predictor.inputs(rgb); });
  for (auto images = stream.next(batch); !images.empty(); images = stream.next(batch)) {
    for (const InputImage& image : images) check_input(image.error.empty(), "{}", image.error);
    for (const Prediction& prediction : predictor.predict(images)) take(samples[done++], prediction.map);
  }
}

// Maps at the original size: judged where the protocol asks for it, written where a folder is named.
MetricsTable original_size(const Options& options, const Dataset& dataset, Dinomaly& model,
                           Progress& progress) {
  const Predictor predictor(model, options.tiling, options.detector.batch);
  MetricsTable table = official_table();
  for (const Category& category : dataset.categories) {
    OfficialEvaluation evaluation;
    predict_all(predictor, category.test, options.detector.batch,
                [&](const Sample& sample, const Tensor& map) {
                  if (!options.maps.empty()) save_tiff_map(map_path(options.maps, sample), map);
                  if (options.protocol == "official") evaluation.add(sample, map);
                  progress.advance();
                });
    if (options.protocol == "official") add_row(table, category.name, evaluation.compute());
  }
  return table;
}

MetricsTable evaluate_model(const Options& options, const Dataset& dataset) {
  const Detector detector = open_detector(options.detector);
  const bool official = options.protocol == "official";
  int64_t total = 0;
  for (const Category& category : dataset.categories) {
    total += static_cast<int64_t>(category.test.size());
  }
  Progress progress("eval", official || options.maps.empty() ? total : 2 * total);
  MetricsTable table;
  if (official || !options.maps.empty()) table = original_size(options, dataset, *detector.model, progress);
  if (official) return table;
  std::vector<CategoryResult> results;
  for (const Category& category : dataset.categories) {
    results.push_back(evaluate(*detector.model, category, options.detector.batch,
                               [&](int64_t images) { progress.advance(images); }));
    results.back().maps = results.back().masks = {};  // only the numbers are wanted
  }
  return paper_table(results);
}

// MODEL may be a folder of maps that any method has written.
MetricsTable evaluate_maps(const Options& options, const Dataset& dataset) {
  check_input(options.protocol == "official", "{}: a folder of maps needs --protocol official",
              options.detector.model);
  MetricsTable table = official_table();
  for (const Category& category : dataset.categories) {
    add_row(table, category.name, evaluate_official(options.detector.model, category));
  }
  return table;
}

int run(const Options& options) {
  check_input(options.protocol == "paper" || options.protocol == "official",
              "--protocol: '{}' is not one of paper, official", options.protocol);
  validate(options.tiling);
  check_input(options.protocol == "official" || !options.tiling.on() || !options.maps.empty(),
              "--tile: the paper's protocol judges images as a whole; use --protocol official");
  std::error_code ignored;
  const bool judges_maps = std::filesystem::is_directory(options.detector.model, ignored);
  check_input(!judges_maps || options.maps.empty(), "--export-maps: {} already holds maps",
              options.detector.model);
  const Dataset dataset = open_labelled_data(options.data);
  if (!options.maps.empty()) make_folder(options.maps);
  for (const std::string& file : {options.json, options.csv}) {
    if (!file.empty()) prepare_target(file);
  }
  const MetricsTable table = judges_maps ? evaluate_maps(options, dataset) : evaluate_model(options, dataset);
  if (!options.json.empty()) {
    write_file(options.json, json_text(to_json(table), 2) + "\n");
  }
  if (!options.csv.empty()) write_file(options.csv, to_csv(table));
  fmt::print("{}: {}\n{}", options.data.data, dataset.layout, to_text(table));
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Work& work) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("eval", "metrics of a labelled data set, per category and their mean");
  command->footer(
      "Examples:\n"
      "  dinomaly eval model.safetensors mvtec\n"
      "  dinomaly eval model.safetensors mvtec --categories bottle --protocol official --json metrics.json\n"
      "  dinomaly eval model.safetensors mvtec --export-maps maps   # for MVTec AD's own evaluation\n"
      "  dinomaly eval maps mvtec --protocol official               # maps written by any method");
  add_detector_flags(*command, options->detector);
  add_data_flags(*command, options->data);
  command
      ->add_option("--protocol", options->protocol,
                   "paper (the authors' seven numbers) or official (MVTec AD's)")
      ->capture_default_str();
  command->add_option("--json", options->json, "write the numbers to this JSON file");
  command->add_option("--csv", options->csv, "write the numbers to this CSV file");
  command->add_option("--export-maps", options->maps,
                      "write maps at the images' size to DIR/CATEGORY/test/DEFECT/ID.tiff");
  add_tiling_flags(*command, options->tiling);
  command->callback([options, &work] { work = [options] { return run(*options); }; });
}

}  // namespace dinomaly
