// dinomaly eval MODEL DATA: the metrics of a labelled data set.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/with_helpers.h"
#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/evaluation/evaluate_official.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/report/prediction_output.h"
#include "dinomaly/report/table.h"

namespace dinomaly {

namespace {

struct EvalFlags {
  DetectorFlags detector;
  DataFlags data;
  std::string protocol = "paper", json, csv, maps;
  InspectionFlags inspection;
};

constexpr Inspection centre_crop{.area = Area::crop};

// Of the numbers of the official protocol, and of the maps that are exported.
Inspection inspection_of(const EvalFlags& options) {
  return inspection_of(options.inspection, options.protocol == "paper" ? centre_crop : Inspection{});
}

// Where the maps that are exported are not those of the paper's protocol, images are judged twice.
bool exports_other_maps(const EvalFlags& options) {
  return options.protocol == "paper" && !options.maps.empty() && inspection_of(options) != centre_crop;
}

int64_t images_to_judge(const EvalFlags& options, const Dataset& dataset) {
  int64_t total = 0;
  for (const Category& category : dataset.categories) {
    total += static_cast<int64_t>(category.test.size());
  }
  return exports_other_maps(options) ? 2 * total : total;
}

void say_left_out(const OfficialEvaluation& evaluation, const std::string& category) {
  if (evaluation.left_out() == 0) return;
  print_error("dinomaly: {}: {} left out, since all defects lie outside of the region of interest\n",
              category, counted(evaluation.left_out(), "image"));
}

// `sinks` take the category's predictions, too.
OfficialMetrics judge_official(const Predictor& predictor, const Category& category,
                               const RegionOfInterest& roi, std::vector<SampleSink> sinks) {
  OfficialEvaluation evaluation(roi);
  sinks.push_back([&](const Sample& sample, const InputImage&, const Prediction& prediction) {
    evaluation.add(sample, prediction.map());
  });
  for_each_prediction(predictor, category.test, sinks);
  say_left_out(evaluation, category.name);
  return evaluation.compute();
}

MetricsTable evaluate_model(const EvalFlags& options, const Detector& detector, const Dataset& dataset) {
  const Predictor paper(*detector.model, centre_crop, options.detector.batch),
      asked(*detector.model, inspection_of(options), options.detector.batch);
  if (!options.maps.empty() && is_unused_folder(options.maps)) mark_result_folder(options.maps);
  Progress progress("eval", images_to_judge(options, dataset));
  const std::vector<SampleSink> count{
      [&](const Sample&, const InputImage&, const Prediction&) { progress.advance(); }};
  std::vector<SampleSink> count_and_write = count;
  count_and_write.push_back([&](const Sample& sample, const InputImage&, const Prediction& prediction) {
    const std::filesystem::path map = map_path(options.maps, sample);
    save_tiff_map(map, prediction.map());
    const std::vector<std::string> stuck =
        remove_earlier_results(options.maps, map_path("", sample).replace_extension(), {map});
    check_input(stuck.empty(), "{}", fmt::join(stuck, "; "));
  });
  const bool writes = !options.maps.empty(), apart = exports_other_maps(options);
  const std::vector<SampleSink>& sinks = writes && !apart ? count_and_write : count;
  MetricsTable official = official_table();
  std::vector<CategoryResult> results;
  for (const Category& category : dataset.categories) {
    if (options.protocol == "official") {
      add_row(official, category.name, judge_official(asked, category, inspection_of(options).roi, sinks));
    } else {
      if (apart) for_each_prediction(asked, category.test, count_and_write);
      CategoryResult& result = results.emplace_back(evaluate(paper, category, sinks));
      result.maps = result.masks = {};  // only the numbers are wanted
    }
  }
  return options.protocol == "official" ? official : paper_table(results);
}

// MODEL may be a folder of maps that any method has written.
MetricsTable evaluate_maps(const EvalFlags& options, const Dataset& dataset) {
  check_input(options.protocol == "official", "{}: a folder of maps needs --protocol official",
              options.detector.model);
  MetricsTable table = official_table();
  for (const Category& category : dataset.categories) {
    add_row(table, category.name,
            evaluate_official(options.detector.model, category, inspection_of(options).roi));
  }
  return table;
}

void check_outputs(CommandFiles& files, const EvalFlags& options) {
  for (const auto& [flag, file] : {std::pair{"--json", &options.json}, {"--csv", &options.csv}}) {
    if (!file->empty() && *file != "-") files.check_output(flag, *file);
  }
}

// The same where the data are known, with the maps that are read and written.
void check_outputs(CommandFiles& files, const EvalFlags& options, const Dataset& dataset, bool judges_maps) {
  files.reads_data(options.data.data, dataset);
  for (const Category& category : dataset.categories) {
    for (const Sample& sample : category.test) {
      if (judges_maps) files.reads(map_path(options.detector.model, sample));
      if (options.maps.empty()) continue;
      const std::filesystem::path map = map_path(options.maps, sample);
      files.check_output("--export-maps", map);
      check_result_place(map);
    }
  }
  check_outputs(files, options);
  for (const std::string& file : {options.json, options.csv}) {
    if (!file.empty() && file != "-") prepare_target(file);
  }
}

int run_eval(const EvalFlags& options) {
  check_input(options.protocol == "paper" || options.protocol == "official",
              "--protocol: '{}' is not one of paper, official", options.protocol);
  check_input(options.json != "-" || options.csv != "-",
              "--json and --csv cannot both go to standard output");
  const Inspection inspection = inspection_of(options);
  check_input(options.protocol == "official" || inspection == centre_crop || !options.maps.empty(),
              "{}: the paper's protocol judges the centre crop, all of it; use --protocol official",
              flags_of(inspection));
  std::error_code ignored;
  const bool judges_maps = std::filesystem::is_directory(options.detector.model, ignored);
  check_input(!judges_maps || options.maps.empty(), "--export-maps: {} already holds maps",
              options.detector.model);
  CommandFiles files = judges_maps ? CommandFiles() : files_read(options.detector);
  check_outputs(files, options);
  std::optional<Detector> detector;
  if (!judges_maps) detector = open_detector(options.detector);
  const Dataset dataset =
      open_labelled_data(options.data, options.detector, detector ? &*detector : nullptr, inspection.tiling);
  std::optional<FolderLock> lock;
  if (!options.maps.empty()) lock.emplace(options.maps);
  check_outputs(files, options, dataset, judges_maps);
  const MetricsTable table =
      detector ? evaluate_model(options, *detector, dataset) : evaluate_maps(options, dataset);
  const auto write = [](const std::string& file, const std::string& text) {
    if (file == "-") fmt::print("{}", text);
    if (!file.empty() && file != "-") write_file(file, text);
  };
  nlohmann::json numbers = to_json(table);
  // The paper's protocol knows the crop alone, and maps of a folder say nothing.
  if (options.protocol == "official" && !judges_maps) numbers["area"] = name_of(inspection.area);
  if (options.protocol == "official" && inspection.roi.on()) numbers["roi"] = inspection.roi.text();
  write(options.json, json_text(numbers, 2) + "\n");
  write(options.csv, to_csv(table));
  if (options.json != "-" && options.csv != "-")
    fmt::print("{}: {}\n{}", options.data.data, dataset.layout, to_text(table));
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Work& work) {
  auto options = std::make_shared<EvalFlags>();
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
  command->add_option("--json", options->json,
                      "write the numbers to this JSON file; -: to standard output, without the table");
  command->add_option("--csv", options->csv, "write the numbers to this CSV file; -: as for --json");
  command->add_option("--export-maps", options->maps,
                      "write maps at the images' size to DIR/CATEGORY/test/DEFECT/ID.tiff");
  add_inspection_flags(*command, options->inspection,
                       "crop for the paper's protocol, which knows nothing else, whole for the official one",
                       "none; for the official protocol alone");
  command->callback(
      [options, &work] { work = with_helpers([options] { return run_eval(*options); }, options->detector); });
}

}  // namespace dinomaly
