// From a data set and an encoder to a trained detector in a folder.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/evaluation/evaluate_all.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/model/training_images.h"
#include "dinomaly/report/results.h"
#include "dinomaly/training/checkpoint.h"
#include "dinomaly/training/train_inputs.h"
#include "dinomaly/training/trainer.h"
#include "dinomaly/training/training_log.h"
#include "tensor/communicator.h"

namespace dinomaly {

// Gets each step of a training once its numbers are known, on the thread that trains.
using StepSink = std::function<void(const TrainingStep&)>;

// One model's way: features, training with validations and checkpoints, results. Of several processes all train and judge
// images, and the first one writes and makes numbers of the judgements.
class TrainRun {
 public:
  static constexpr const char* model_name = "model.safetensors";  // in `out`
  // What a run writes there.
  static constexpr std::array result_names{"config.json", "log.csv", "validation.csv", model_name,
                                           "metrics.json"};

  // `data`: what this model is trained on; `out`: its folder. `encoder_hash`: encoder_sha256 of the encoder.
  TrainRun(const TrainOptions& options, const EncoderWeights& encoder, const std::string& encoder_hash,
           const Dataset& data, const std::filesystem::path& out);
  ~TrainRun();

  // Whether a run has left its model or a checkpoint in the folder.
  static bool has_been_in(const std::filesystem::path& out);
  // Throws InputError naming the file where a run without --resume would destroy what an earlier one has left in
  // `out`: a model, or a checkpoint.
  static void check_free(const std::filesystem::path& out);

  // Trains. 0: came to the end; otherwise the signal that stopped it (then a checkpoint says where).
  int train(const StepSink& on_step = {});
  // Of the first process: finds the thresholds, saves the model and judges it.
  std::vector<CategoryResult> finish();
  // Of the others: judges images for it.
  void help();
  const RunSeconds& seconds() const { return seconds_; }

 private:
  std::optional<Checkpoint> earlier_state() const;
  void start();
  void load(const Checkpoint& saved);
  void log_steps(bool all);
  // How long the features took, what they take, and where they are.
  void report_features();
  // Of several processes: what this one sent, and how long it waited.
  void report_traffic(double seconds);
  void validate();
  void checkpoint();
  void take_best();
  void make_final();
  // Runs the model once over the test images that the calibrator (may be null) or the metrics need.
  std::vector<PaperEvaluation> judge(Calibrator* calibrator);
  TrainingImages training_images() const;
  std::optional<Calibration> thresholds(const Calibrator& calibrator) const;

  const TrainOptions& options_;
  const EncoderWeights& encoder_;
  Dataset evaluable_;
  std::vector<Sample> other_test_;  // test images of the other categories
  std::filesystem::path out_;
  Communicator& processes_;
  bool writes_;  // whether it is the process that does
  RunSeconds seconds_;
  std::unique_ptr<Dinomaly> model_;
  std::unique_ptr<const nlohmann::json> identity_;  // what a checkpoint must agree with
  CheckpointFolder checkpoints_;
  std::optional<Checkpoint> earlier_;  // to go on from; read before the features are begun
  FeatureStore features_;
  Trainer trainer_;
  std::unique_ptr<TrainingLog> log_;
  StepSink on_step_;
  std::string validation_;        // the text of validation.csv
  std::optional<double> best_;    // of --keep-best
  int64_t saved_iteration_ = -1;  // of the last checkpoint
};

}  // namespace dinomaly
