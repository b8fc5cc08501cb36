#include "dinomaly/cli/train_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/run_identity.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/inference/shared_predictions.h"
#include "dinomaly/report/table.h"
#include "tensor/backend.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

TrainRun::TrainRun(const TrainOptions& options, const EncoderWeights& encoder,
                   const std::string& encoder_hash, const Dataset& data, const fs::path& out)
    : options_(options),
      encoder_(encoder),
      evaluable_(evaluable_part(data)),
      out_(out),
      processes_(communicator()),
      writes_(processes_.is_first()),
      model_(make_model(options, encoder)),
      identity_(std::make_unique<const json>(
          run_identity(options, model_->config(), encoder_hash, training_samples(data), test_samples(data)))),
      checkpoints_(out / "checkpoints"),
      earlier_(earlier_state()),
      features_(*model_, training_samples(data), model_->config().batch, options.features()),
      trainer_(*model_, features_) {
  for (const Category& category : data.categories) {
    const bool is_evaluable = std::any_of(evaluable_.categories.begin(), evaluable_.categories.end(),
                                          [&](const Category& other) { return other.name == category.name; });
    if (!is_evaluable) other_test_.insert(other_test_.end(), category.test.begin(), category.test.end());
  }
  validation_ = fmt::format("iteration,{}\n", fmt::join(metric_names(), ","));
  start();
}

TrainRun::~TrainRun() = default;

static bool has_model(const fs::path& out) {
  std::error_code ignored;
  return fs::exists(out / TrainRun::model_name, ignored);
}

// Where all checkpoints are damaged, an earlier run's work is at stake.
static void check_undamaged(const fs::path& out, const std::optional<Checkpoint>& latest) {
  check_input(latest || !CheckpointFolder(out / "checkpoints").holds_any(),
              "{}: all checkpoints here are damaged; --force instead of --resume starts over",
              (out / "checkpoints").string());
}

// The state that --resume goes on from.
std::optional<Checkpoint> TrainRun::earlier_state() const {
  if (!options_.resume) return std::nullopt;
  std::optional<Checkpoint> saved = checkpoints_.latest();
  if (saved) check_same_run(*identity_, *saved);
  check_undamaged(out_, saved);
  check_input(saved || !options_.finish, "--finish: there is no checkpoint in {} to make a model of",
              out_.string());
  check_input(
      saved || !has_model(out_),
      "--resume: {}: an earlier run has left its model here, but no checkpoint to continue from; --force "
      "instead of --resume replaces it, another --out keeps it",
      (out_ / model_name).string());
  return saved;
}

void TrainRun::check_free(const fs::path& out) {
  const fs::path model = out / model_name;
  const std::optional<Checkpoint> saved = CheckpointFolder(out / "checkpoints").latest();
  check_input(!has_model(out),
              "{}: an earlier run has left its model here; --force replaces it, another --out keeps it{}",
              model.string(), saved ? ", and --resume with more --iterations trains it further" : "");
  check_undamaged(out, saved);
  if (!saved) return;
  fail_input("{}: an earlier run stopped here at iteration {}; --resume continues it, --force starts over",
             saved->path.string(), saved->iteration);
}

bool TrainRun::has_been_in(const fs::path& out) {
  return has_model(out) || CheckpointFolder(out / "checkpoints").holds_any();
}

void TrainRun::start() {
  const Config& config = model_->config();
  if (writes_) {
    remove_temporaries(out_);
    remove_temporaries(out_ / "checkpoints");
  }
  if (earlier_) load(*earlier_);
  log_ = std::make_unique<TrainingLog>(writes_ ? out_ / "log.csv" : fs::path(), config.iterations,
                                       config.batch, earlier_ ? earlier_->text("log") : "");
  if (earlier_) {
    fmt::print("continuing from {}: {} of {} done\n", earlier_->path.string(), trainer_.iteration(),
               counted(config.iterations, "iteration"));
  } else {
    if (options_.resume) fmt::print("no checkpoint in {}; starting at iteration 0\n", out_.string());
    processes_.barrier();  // nobody looks for one any more
    if (writes_) checkpoints_.clear();
    trainer_.fit_whitening();  // a checkpoint has it
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
  if (!writes_) {
    saved_iteration_ = iteration;
    return;
  }
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
    print_error("no checkpoint saved at iteration {}: {}; {}\n", iteration, error.what(),
                saved_iteration_ < 0 ? "there is no earlier one"
                                     : fmt::format("the last one is from iteration {}", saved_iteration_));
  }
}

void TrainRun::validate() {
  log_steps(true);
  trainer_.check_sound();
  if (!writes_) return help_first([this]() -> const Dinomaly& { return *model_; }, processes_);
  const Metrics mean = mean_metrics(evaluate_all(*model_, evaluable_));
  dismiss_helpers(processes_);
  backend_for(options_.device).trim();  // the encoder rests again
  std::string row = std::to_string(trainer_.iteration());
  for (const std::string& name : metric_names())
    row += fmt::format(",{}", rounded_metric(metric_value(mean, name)));
  validation_ += row + "\n";
  log_->print_line(fmt::format("validation after {}: I-AUROC {:.4f}, P-AP {:.4f}, AUPRO {:.4f}",
                               counted(trainer_.iteration(), "iteration"), mean.image_auroc, mean.pixel_ap,
                               mean.aupro));
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
    print_error("the weights of iteration {} could not be saved: {}\n", trainer_.iteration(), error.what());
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
    if (on_step_) on_step_(step);
  }
}

void TrainRun::report_features() {
  if (options_.shots > 0) {
    log_->print_line("images are varied anew in each step: no features are kept");
    return;
  }
  log_->print_line(fmt::format("features of {}: {:.1f} s, {:.0f} MB, {}",
                               counted(features_.computed(), "image"), features_.seconds(),
                               static_cast<double>(features_.bytes()) / 1e6, features_.place()));
}

void TrainRun::report_traffic(double seconds) {
  if (processes_.size() == 1) return;
  const Communicator::Traffic traffic = processes_.traffic();
  log_->print_line(
      fmt::format("{} processes: the first sent {:.1f} MB and waited {:.2f} of {:.2f} s for the others, "
                  "{:.2f} of it for gradients",
                  processes_.size(), static_cast<double>(traffic.bytes) / 1e6, traffic.seconds_waited,
                  seconds, trainer_.seconds_waited_for_gradients()));
}

int TrainRun::train(const StepSink& on_step) {
  on_step_ = on_step;
  const StopSignal stop;
  const Stopwatch watch;
  const auto due = [&](int64_t every) { return every > 0 && trainer_.iteration() % every == 0; };
  if (!options_.keep_best.empty()) make_folder(out_ / "checkpoints");
  int64_t signal = 0;  // of any process: all stop in the same iteration
  if (features_.is_complete()) report_features();
  while (!trainer_.done() && (signal = processes_.largest(stop.number())) == 0) {
    const bool incomplete = !features_.is_complete();
    trainer_.advance();
    log_steps(false);
    if (incomplete && (features_.is_complete() || trainer_.done())) report_features();
    if (!evaluable_.categories.empty() && options_.eval_every > 0 &&
        (due(options_.eval_every) || trainer_.done())) {
      validate();
    }
    if (due(options_.checkpoint_every)) checkpoint();
  }
  log_steps(true);
  report_traffic(watch.seconds());
  trainer_.check_sound();
  const bool stopped = !trainer_.done();
  if (!stopped && options_.feature_cache)
    trainer_.complete_features();  // what this run did not need, later ones may
  if (options_.checkpoint_every > 0 || stopped) checkpoint();
  seconds_.features = features_.seconds();
  seconds_.train = watch.seconds() - seconds_.features;
  if (stopped) {
    log_->make_room();
    fmt::print("stopped after {} of {}; {}\n", trainer_.iteration(),
               counted(model_->config().iterations, "iteration"),
               saved_iteration_ == trainer_.iteration() ? "no work is lost, --resume continues bit for bit; "
                                                          "--resume --finish makes a model of it as it is"
                                                        : "work since the last checkpoint is lost");
  }
  return stopped ? static_cast<int>(signal) : 0;
}

}  // namespace dinomaly
