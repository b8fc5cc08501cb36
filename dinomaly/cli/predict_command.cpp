// dinomaly predict MODEL IMAGES: scores, decisions, regions, overlays, maps.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/base/shown_address.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/image_source.h"
#include "dinomaly/cli/predict_flags.h"
#include "dinomaly/cli/prediction_writer.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/cli/with_helpers.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/video/video_name.h"
#include "tensor/communicator.h"

namespace dinomaly {

namespace {

OutputOptions output_options(const PredictFlags& options, const std::optional<Calibration>& calibration,
                             const Inspection& inspection) {
  OutputOptions output = verdict_options(options.verdict, options.detector.model, calibration, inspection);
  output.folder = options.out;
  output.overlays = !options.no_overlay;
  output.maps = parse_map_format(options.maps);
  check_input(output.maps == MapFormat::none || !options.out.empty(),
              "--map-format: needs --out, the folder to write them to");
  return output;
}

ObjectKind object_kind(const PredictFlags& options) {
  if (options.object_by.empty()) return ObjectKind::none;
  check_input(options.object_by == "folder" || options.object_by == "pair",
              "--object-by: '{}' is neither folder nor pair", options.object_by);
  return options.object_by == "folder" ? ObjectKind::views : ObjectKind::pairs;
}

// That of the flags; otherwise the calibrated one, of objects of the same kind. Views without any have that of images,
// which are scored alike; the sum of two scores has not.
std::optional<double> object_threshold(const PredictFlags& options, const OutputOptions& output,
                                       const std::optional<Calibration>& calibration,
                                       const Inspection& inspection) {
  const ObjectKind kind = object_kind(options);
  check_input(!options.object_threshold || kind != ObjectKind::none,
              "--object-threshold: needs --object-by, which says what an object is");
  if (options.object_threshold) return checked_threshold("--object-threshold", *options.object_threshold);
  const bool views = kind == ObjectKind::views;
  if (views && options.verdict.threshold) return output.image_threshold;
  if (kind == ObjectKind::none || !calibration) return std::nullopt;
  const std::optional<double> found = calibration->of(options.verdict.category).object;
  const bool fits = calibration->objects == kind && calibration->inspection == inspection;
  if (fits && found) return found;
  check_input(views && calibration->objects != ObjectKind::pairs,
              "{}: it has no threshold for objects by {}; run calibrate on such, or give --object-threshold",
              options.detector.model, options.object_by);
  return output.image_threshold;
}

std::optional<ObjectJudge> object_judge(const PredictFlags& options, const OutputOptions& output,
                                        const Detector& detector, const Inspection& inspection) {
  const ObjectKind kind = object_kind(options);
  const std::optional<double> threshold = object_threshold(options, output, detector.calibration, inspection);
  check_input(!options.fail_on_anomaly || output.image_threshold || threshold,
              "--fail-on-anomaly: {} is not calibrated; run calibrate or give --threshold",
              options.detector.model);
  if (kind == ObjectKind::none) return std::nullopt;
  return ObjectJudge(kind, detector.config().score_ratio, threshold, !options.watched.empty());
}

// Whether `path` is `folder` or lies in it, as far as it exists.
bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code error;
  const auto inner = std::filesystem::weakly_canonical(path, error),
             outer = std::filesystem::weakly_canonical(folder, error);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// Files written into the watched folder would be taken for new images.
void check_folders(const PredictFlags& options) {
  for (const auto& [flag, folder] : {std::pair{"--out", &options.out}, {"--move-to", &options.moved_to}}) {
    if (folder->empty()) continue;
    check_input(options.watched.empty() || !lies_in(*folder, options.watched),
                "{}: {} is in the folder that is watched", flag, *folder);
    make_folder(*folder);
  }
}

// Two runs that write into one folder would take each other's files.
std::optional<FolderLock> lock_results(const PredictFlags& options) {
  if (options.out.empty()) return std::nullopt;
  return std::optional<FolderLock>(std::in_place, options.out);
}

// Says what of the files was not judged, so that none is missed silently; whether there is any.
bool report_not_judged(ImageSource& source, const PredictionWriter& writer, bool watched) {
  const std::vector<std::filesystem::path> unfinished = source.unfinished();
  if (source.own_results() > 0)
    print_error("dinomaly: {} of this program passed over\n", counted(source.own_results(), "result"));
  const std::string companions = source.companions();
  if (!companions.empty())
    print_error("dinomaly: passed over, because they belong to images: {}\n", companions);
  const int64_t others = source.other_count();
  if (others > 0) print_error("dinomaly: {}\n", source.others_text());
  const std::vector<std::filesystem::path> waiting = source.waiting();
  if (!waiting.empty())
    print_error("dinomaly: not judged, since depth or image had not come yet: {}\n",
                count_and_names(waiting));
  if (!unfinished.empty())
    print_error("dinomaly: not judged, since they had only just come or were not whole: {}\n",
                count_and_names(unfinished));
  check_input(writer.images() > 0 || companions.empty() || watched,
              "no images: what is named belongs to images, which are to be named instead");
  const int64_t not_taken = others + static_cast<int64_t>(unfinished.size());
  const int64_t missed = writer.damaged() + not_taken, files = writer.images() + not_taken;
  if (missed > 0 && files == 1)
    print_error("dinomaly: the file was not judged\n");
  else if (missed > 0)
    print_error("dinomaly: {} of {} files {} not judged\n", missed, files, missed == 1 ? "was" : "were");
  return missed > 0;
}

void check_objects(const PredictFlags& options, const Inspection& inspection, const Config& config) {
  const ObjectKind kind = object_kind(options);
  if (kind == ObjectKind::none) return;
  check_input(options.watched.empty() || kind == ObjectKind::pairs,
              "--object-by: with --watch no folder is ever complete");
  check_input(!inspection.tiling.on(), "--object-by: objects are not judged in tiles");
  if (kind == ObjectKind::pairs) check_takes_pairs(config.image.pixels, options.detector.model);
}

// Whether a video is to be judged. It is judged alone: its frames are no files that could be moved or be views of an object.
bool judges_video(const PredictFlags& options) {
  const auto video = std::find_if(options.inputs.begin(), options.inputs.end(), is_video);
  if (video == options.inputs.end()) {
    check_input(options.video.every == 1, "--every: needs a video");
    check_input(options.video.give_up == 0, "--give-up: needs a stream or a camera");
    return false;
  }
  check_input(options.inputs.size() == 1, "{}: a video is judged alone, without further IMAGES",
              shown_address(*video));
  check_input(options.watched.empty(), "--watch: is for images; a video comes by itself");
  check_input(options.moved_to.empty(), "--move-to: frames of a video are no files");
  check_input(options.object_by.empty(), "--object-by: frames of a video are no objects");
  check_input(options.maps == "none", "--map-format: writes no maps of a video's frames");
  return true;
}

PredictionWriter::Options writing_options(const PredictFlags& options, const OutputOptions& output,
                                          const Detector& detector, const Inspection& inspection,
                                          Alarm* alarm) {
  return {options.json  ? PredictionWriter::Lines::json
          : options.csv ? PredictionWriter::Lines::csv
                        : PredictionWriter::Lines::text,
          options.moved_to,
          output,
          detector.training_images.value_or(TrainingImages{}),
          inspection.tiling.on(),
          detector.model->config().with_depth,
          object_judge(options, output, detector, inspection),
          alarm,
          options.object_threshold ? "" : without_decision(options.detector.model, output)};
}

int run_video(const PredictFlags& options) {
  check_folders(options);
  const std::optional<FolderLock> lock = lock_results(options);
  const Detector detector = open_detector(options.detector);
  check_takes_video(detector.config(), options.detector.model);
  const Inspection inspection = inspection_for(options.inspection, detector);
  const OutputOptions output = output_options(options, detector.calibration, inspection);
  const Predictor predictor(*detector.model, inspection, options.detector.batch);
  const std::unique_ptr<Alarm> alarm = open_alarm(options.alarm);
  const StopSignal signals;
  const VideoOutcome outcome = predict_video(
      {options.inputs[0], options.video, writing_options(options, output, detector, inspection, alarm.get())},
      predictor);
  if (!finish_alarm(alarm.get()) || outcome.failed) return 2;
  if (const int signal = StopSignal::number(); signal != 0) return 128 + signal;
  return options.fail_on_anomaly && outcome.anomalous ? 1 : 0;
}

// What comes one by one is not shared out.
void check_alone(const std::string& what) {
  const int processes = communicator().size();
  check_input(processes == 1, "{} is judged by one process, but {} were launched", what, processes);
}

int run_predict(const PredictFlags& options) {
  check_verdict_flags(options.verdict);
  parse_map_format(options.maps);
  check_input(!options.json || !options.csv, "--json and --csv: only one can be meant");
  if (judges_video(options)) {
    check_alone("a video");
    return run_video(options);
  }
  if (!options.watched.empty()) check_alone("--watch: a folder that is watched");
  if (std::count(options.inputs.begin(), options.inputs.end(), "-") > 0)
    check_alone("-: what standard input names");
  ImageSource source(options.inputs, options.watched);
  check_folders(options);
  const std::optional<FolderLock> lock = lock_results(options);
  const Detector detector = open_detector(options.detector);
  const Inspection inspection = inspection_for(options.inspection, detector);
  check_objects(options, inspection, detector.model->config());
  if (detector.model->config().with_depth) source.take_depth();
  if (detector.judges_strips()) source.expect_single_views();
  const OutputOptions output = output_options(options, detector.calibration, inspection);
  const Predictor predictor(*detector.model, inspection, options.detector.batch);
  if (!options.out.empty() && is_unused_folder(options.out)) mark_result_folder(options.out);

  const StopSignal signals;  // what is being judged and written is finished
  if (!options.watched.empty()) print_error("dinomaly: watching {}; Ctrl-C ends it\n", options.watched);
  if (const std::vector<std::filesystem::path> links = source.unwatched_links(); !links.empty())
    print_error("dinomaly: --watch: links to folders, which are not watched: {}\n", count_and_names(links));
  Progress progress("predict", source.total());
  const std::unique_ptr<Alarm> alarm = open_alarm(options.alarm);
  PredictionWriter writer(writing_options(options, output, detector, inspection, alarm.get()),
                          OutputNames(options.inputs, options.watched), progress);
  for_each_prediction(
      predictor, [&](std::stop_token stop) { return source.next(stop); },
      {[&](const InputImage& image, const Prediction& prediction) { writer.write(image, prediction); }});
  writer.finish(StopSignal::number() != 0);
  const bool all_told = finish_alarm(alarm.get());
  const bool missed = report_not_judged(source, writer, !options.watched.empty()) || writer.incomplete() > 0;
  // A watch sees files in the making and is ended on purpose: they were reported, and are no failure.
  if (writer.any_failed() || !all_told) return 2;
  if (options.watched.empty()) {
    if (const int signal = StopSignal::number(); signal != 0) return 128 + signal;
    if (missed) return 2;
  }
  return options.fail_on_anomaly && writer.any_anomalous() ? 1 : 0;
}

}  // namespace

void add_predict(CLI::App& app, Work& work) {
  auto options = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "judge images: score, decision, regions, overlay, map");
  add_predict_flags(*command, *options);
  command->callback([options, &work] {
    work = with_helpers([options] { return run_predict(*options); }, options->detector);
  });
}

}  // namespace dinomaly
