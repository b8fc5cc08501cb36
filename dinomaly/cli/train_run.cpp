#include "dinomaly/cli/train_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/cli/run_identity.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/report/table.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/backend.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* model_name = "model.safetensors";

// None with --calibrate none.
std::optional<Calibrator> make_calibrator(const TrainOptions& options, const Config& config) {
  if (options.calibrate == "none") return std::nullopt;
  CalibrationOptions calibration;
  calibration.method = parse_calibration_method(options.calibrate);
  calibration.false_alarm_rate = options.false_alarm_rate;
  calibration.per_category = options.per_category;
  calibration.batch = config.batch;
  return Calibrator(calibration);
}

}  // namespace

TrainRun::TrainRun(const TrainOptions& options, const EncoderWeights& encoder,
                   const std::string& encoder_hash, const Dataset& data, const fs::path& out)
    : options_(options),
      encoder_(encoder),
      judged_(evaluable_part(data)),
      out_(out),
      model_(make_model(options, encoder)),
      identity_(std::make_unique<const json>(
          run_identity(options, model_->config(), encoder_hash, training_samples(data)))),
      checkpoints_(out / "checkpoints"),
      earlier_(earlier_state()),
      features_(*model_, training_samples(data), model_->config().batch, options.features()),
      trainer_(*model_, features_) {
  for (const Category& category : data.categories) {
    const bool judged = std::any_of(judged_.categories.begin(), judged_.categories.end(),
                                    [&](const Category& other) { return other.name == category.name; });
    if (!judged) unjudged_test_.insert(unjudged_test_.end(), category.test.begin(), category.test.end());
  }
  validation_ = fmt::format("iteration,{}\n", fmt::join(metric_names(), ","));
  start();
}

TrainRun::~TrainRun() = default;

// The state that --resume goes on from.
std::optional<Checkpoint> TrainRun::earlier_state() const {
  if (!options_.resume) return std::nullopt;
  std::optional<Checkpoint> saved = checkpoints_.latest();
  if (saved) check_same_run(*identity_, *saved);
  check_input(saved || !options_.finish, "--finish: there is no checkpoint in {} to make a model of",
              out_.string());
  return saved;
}

void TrainRun::check_free(const fs::path& out) {
  const fs::path model = out / model_name;
  std::error_code ignored;
  check_input(
      !fs::exists(model, ignored),
      "{}: an earlier run has left its model here; --force replaces it, another --out keeps it, and --resume "
      "with more --iterations trains it further",
      model.string());
  const std::optional<Checkpoint> saved = CheckpointFolder(out / "checkpoints").latest();
  if (!saved) return;
  fail_input("{}: an earlier run stopped here at iteration {}; --resume continues it, --force starts over",
             saved->path.string(), saved->iteration);
}

void TrainRun::start() {
  const Config& config = model_->config();
  remove_temporaries(out_);
  remove_temporaries(out_ / "checkpoints");
  if (earlier_) load(*earlier_);
  log_ = std::make_unique<TrainingLog>(out_ / "log.csv", config.iterations, config.batch,
                                       earlier_ ? earlier_->text("log") : "");
  if (earlier_) {
    fmt::print("continuing from {}: {} of {} iterations done\n", earlier_->path.string(),
               trainer_.iteration(), config.iterations);
  } else {
    if (options_.resume) fmt::print("no checkpoint in {}; starting at iteration 0\n", out_.string());
    checkpoints_.clear();
  }
  earlier_.reset();
}

void TrainRun::load(const Checkpoint& saved) {
  trainer_.load_state(saved.tensors, saved.path.string());
  validation_ = saved.text("validation");
  const json best = json::parse(saved.text("best"), nullptr, false);
  if (best.is_number()) best_ = best.get<double>();
  saved_iteration_ = saved.iteration;
}

void TrainRun::checkpoint() {
  const int64_t iteration = trainer_.iteration();
  if (saved_iteration_ == iteration) return;
  log_steps(true);
  trainer_.check_sound();
  try {
    checkpoints_.save(iteration, trainer_.state(),
                      {{"identity", identity_->dump()},
                       {"log", log_->text()},
                       {"validation", validation_},
                       {"best", best_ ? json(*best_).dump() : ""},
                       {"done", trainer_.done() ? "true" : "false"}});
    saved_iteration_ = iteration;
    log_->save();
    if (options_.eval_every > 0) write_file(out_ / "validation.csv", validation_);
  } catch (const InputError& error) {  // training is worth more than its checkpoint
    log_->make_room();
    fmt::print(stderr, "no checkpoint saved at iteration {}: {}; {}\n", iteration, error.what(),
               saved_iteration_ < 0 ? "there is no earlier one"
                                    : fmt::format("the last one is from iteration {}", saved_iteration_));
  }
}

void TrainRun::validate() {
  log_steps(true);
  trainer_.check_sound();
  const Metrics mean = mean_metrics(evaluate_all(*model_, judged_, TestImages::dropped));
  backend_for(options_.device).trim();  // the encoder rests again
  std::string row = std::to_string(trainer_.iteration());
  for (const std::string& name : metric_names())
    row += fmt::format(",{}", rounded_metric(metric_value(mean, name)));
  validation_ += row + "\n";
  log_->print_line(fmt::format("validation after {} iterations: I-AUROC {:.4f}, P-AP {:.4f}, AUPRO {:.4f}",
                               trainer_.iteration(), mean.image_auroc, mean.pixel_ap, mean.aupro));
  if (options_.keep_best.empty()) return;
  const double value = metric_value(mean, options_.keep_best);
  if (std::isnan(value) || (best_ && value <= *best_)) return;
  NamedTensors weights;
  for (const auto& [name, parameter] : model_->named_trained_parameters()) {
    weights.emplace_back(name, parameter.value());
  }
  const fs::path path = out_ / "checkpoints" / "best.safetensors";
  try {
    save_safetensors(path, weights, {{"iteration", std::to_string(trainer_.iteration())}});
    best_ = value;
  } catch (const InputError& error) {  // training is worth more than one validation's weights
    log_->make_room();
    fmt::print(stderr, "the weights of iteration {} could not be saved: {}\n", trainer_.iteration(),
               error.what());
  }
}

void TrainRun::log_steps(bool all) {
  const std::vector<TrainingStep> steps = trainer_.finished(all);
  const int64_t unread = (model_->config().iterations - trainer_.iteration()) * model_->config().batch;
  if (options_.shots == 0)  // else each step encodes its images, and that is its own time
    log_->set_features({features_.seconds(), features_.computed(),
                        std::clamp<int64_t>(features_.size() - features_.computed(), 0, unread)});
  log_->begin_steps(static_cast<int64_t>(steps.size()));
  for (const TrainingStep& step : steps) {
    if (step.skipped)
      log_->add_skipped(step.iteration, step.learning_rate);
    else
      log_->add_step(step.iteration, step.loss, step.learning_rate, step.grad_norm);
  }
}

void TrainRun::report_features() {
  if (options_.shots > 0) {
    log_->print_line("images are varied anew in each step: no features are kept");
    return;
  }
  log_->print_line(fmt::format("features of {} images: {:.1f} s, {:.0f} MB, {}", features_.computed(),
                               features_.seconds(), static_cast<double>(features_.bytes()) / 1e6,
                               features_.place()));
}

int TrainRun::train() {
  const StopSignal stop;
  const Stopwatch watch;
  const auto due = [&](int64_t every) { return every > 0 && trainer_.iteration() % every == 0; };
  if (!options_.keep_best.empty()) make_folder(out_ / "checkpoints");
  if (features_.is_complete()) report_features();
  while (!trainer_.done() && stop.number() == 0) {
    const bool incomplete = !features_.is_complete();
    trainer_.advance();
    log_steps(false);
    if (incomplete && (features_.is_complete() || trainer_.done())) report_features();
    if (!judged_.categories.empty() && options_.eval_every > 0 &&
        (due(options_.eval_every) || trainer_.done())) {
      validate();
    }
    if (due(options_.checkpoint_every)) checkpoint();
  }
  log_steps(true);
  trainer_.check_sound();
  const bool stopped = !trainer_.done();
  if (!stopped && options_.feature_cache) features_.complete();  // what this run did not need, later ones may
  if (options_.checkpoint_every > 0 || stopped) checkpoint();
  seconds_.features = features_.seconds();
  seconds_.train = watch.seconds() - seconds_.features;
  if (stopped) {
    log_->make_room();
    fmt::print("stopped after {} of {} iterations; {}\n", trainer_.iteration(), model_->config().iterations,
               saved_iteration_ == trainer_.iteration() ? "no work is lost, --resume continues bit for bit; "
                                                          "--resume --finish makes a model of it as it is"
                                                        : "work since the last checkpoint is lost");
  }
  return stopped ? stop.number() : 0;
}

// The weights of the best validation in place of the last ones.
void TrainRun::take_best() {
  const fs::path path = out_ / "checkpoints" / "best.safetensors";
  const SafeTensors best = SafeTensors::load(path);
  for (const std::string& name : best.names()) check_finite({{name, best.get(name)}}, path.string());
  for (const auto& [name, parameter] : model_->named_trained_parameters()) {
    check_input(best.shape(name) == parameter.shape(), "{}: '{}' has another shape", path.string(), name);
    parameter.value().copy_from(best.get(name));
  }
  const auto iteration = best.metadata().find("iteration");
  fmt::print("the model has the weights of iteration {}: {} {:.4f}\n",
             iteration == best.metadata().end() ? "?" : iteration->second, options_.keep_best, *best_);
}

std::vector<PaperEvaluation> TrainRun::judge(Calibrator* calibrator) {
  const Config& config = model_->config();
  // The paper judges the centre crop, users the whole image; without a margin to crop they are the same.
  const Predictor paper(*model_, {.area = Area::crop}, config.batch), whole(*model_, {}, config.batch);
  const bool same = paper.config().image == whole.config().image;
  const SampleSink calibrate = [&](const Sample& sample, const InputImage&, const Prediction& prediction) {
    if (calibrator != nullptr) calibrator->add(sample, prediction);
  };
  std::vector<PaperEvaluation> evaluations;
  for (const Category& category : judged_.categories) {
    PaperEvaluation& evaluation = evaluations.emplace_back(category, config);
    const SampleSink evaluate = [&](const Sample&, const InputImage& image, const Prediction& prediction) {
      evaluation.add(image, prediction);
    };
    const std::vector<SampleSink> sinks = same ? std::vector{calibrate, evaluate} : std::vector{evaluate};
    for_each_prediction(paper, category.test, sinks, crop_for(TestImages::kept, config));
  }
  std::vector<Sample> others;
  const auto add_used = [&](const std::vector<Sample>& samples) {
    for (const Sample& sample : samples) {
      if (calibrator != nullptr && calibrator->uses(sample)) others.push_back(sample);
    }
  };
  add_used(unjudged_test_);
  for (const Category& category : judged_.categories) {
    if (!same) add_used(category.test);
  }
  for_each_prediction(whole, others, {calibrate});
  return evaluations;
}

// Of up to 64 of them, spread evenly: the same ones whether features were computed, cached or resumed from.
TrainingImages TrainRun::training_images() const {
  constexpr size_t most = 64;
  const std::vector<Sample>& samples = features_.samples();
  std::vector<Picture> pictures;
  const size_t count = std::min(most, samples.size());
  for (size_t i = 0; i < count; ++i) pictures.push_back(picture_of(samples[i * samples.size() / count]));
  ReadAhead images(in_order(std::move(pictures)), [](const Image&) { return Tensor(); },
                   {.pixels = model_->config().image.pixels, .keep = no_pixels});
  TrainingImages result;
  for (auto read = images.next(1); !read.empty(); read = images.next(1)) {
    if (read[0].error.empty()) result.add(read[0]);
  }
  return result;
}

// None where the images for it are missing: the model is worth keeping all the same.
std::optional<Calibration> TrainRun::thresholds(const Calibrator& calibrator) const {
  try {
    const Calibration found = calibrator.compute();
    fmt::print("thresholds: images {:.6f}, pixels {:.6f}, from {} good and {} anomalous images",
               found.all.image, found.all.pixel, found.good_images, found.anomalous_images);
    if (found.method == CalibrationMethod::good)
      fmt::print("; expect at most a share of {:.2g} of good images to be called anomalous",
                 found.promised_rate);
    fmt::print("\n");
    return found;
  } catch (const InputError& error) {
    fmt::print(stderr, "no thresholds in the model: {}\n", error.what());
    return std::nullopt;
  }
}

std::vector<CategoryResult> TrainRun::finish() {
  log_->finish();
  if (options_.eval_every > 0) write_file(out_ / "validation.csv", validation_);
  if (best_) take_best();
  ModelFileOptions file;
  file.slim = options_.slim;
  file.training_images = training_images();
  if (options_.encoder) file.encoder_name = utf8(options_.encoder->filename().string());
  const auto save = [&] { save_model(out_ / model_name, *model_, encoder_.config, file); };
  std::optional<Calibrator> calibrator = make_calibrator(options_, model_->config());
  const Stopwatch watch;
  std::vector<PaperEvaluation> evaluations;
  try {
    evaluations = judge(calibrator ? &*calibrator : nullptr);
  } catch (...) {  // the trained model outlives an unreadable test image, and too little memory for judging
    save();
    throw;
  }
  if (calibrator) file.calibration = thresholds(*calibrator);
  save();
  std::vector<CategoryResult> results;
  for (PaperEvaluation& evaluation : evaluations) results.push_back(evaluation.compute());
  seconds_.evaluate = watch.seconds();
  write_results(out_, results, judged_, model_->config(), seconds_);
  return results;
}

}  // namespace dinomaly
