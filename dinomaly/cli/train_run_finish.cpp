// The end of a run of training: the best weights, metrics, thresholds, the model's file.
#include <fmt/format.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/train_run.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/inference/shared_predictions.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/report/table.h"
#include "dinomaly/training/quantize_trained.h"
#include "dinomaly/weights/bundled_encoder.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {

// None with --calibrate none.
std::optional<Calibrator> make_calibrator(const TrainOptions& options, const Config& config,
                                          const Dataset& evaluable, std::vector<Sample> samples) {
  if (options.calibrate == "none") return std::nullopt;
  CalibrationOptions calibration;
  calibration.method = parse_calibration_method(options.calibrate);
  calibration.false_alarm_rate = options.false_alarm_rate;
  calibration.per_category = options.per_category;
  calibration.batch = config.batch;
  calibration.inspection.roi = RegionOfInterest::parse(options.roi);
  for (const Category& category : evaluable.categories)
    samples.insert(samples.end(), category.test.begin(), category.test.end());
  std::optional<Calibrator> result = Calibrator(calibration, samples, config);
  if (const std::string repeats = result->repeats(); !repeats.empty())
    print_error("thresholds: {}\n", repeats);
  return result;
}

}  // namespace

// The weights of the best validation in place of the last ones.
void TrainRun::take_best() {
  const std::filesystem::path path = out_ / "checkpoints" / "best.safetensors";
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
  const Inspection inspection = calibrator != nullptr ? calibrator->inspection() : Inspection{};
  const Predictor paper(*model_, {.area = Area::crop}, config.batch),
      whole(*model_, inspection, config.batch);
  const bool same = paper.config().image == whole.config().image && !inspection.roi.on();
  const SampleSink calibrate = [&](const Sample& sample, const InputImage&, const Prediction& prediction) {
    if (calibrator != nullptr) calibrator->add(sample, prediction);
  };
  std::vector<PaperEvaluation> evaluations;
  for (const Category& category : evaluable_.categories) {
    PaperEvaluation& evaluation = evaluations.emplace_back(category, config);
    const SampleSink evaluate = [&](const Sample&, const InputImage& image, const Prediction& prediction) {
      evaluation.add(image, prediction);
    };
    const std::vector<SampleSink> sinks = same ? std::vector{calibrate, evaluate} : std::vector{evaluate};
    for_each_prediction(paper, category.test, sinks);
  }
  std::vector<Sample> others;
  const auto add_used = [&](const std::vector<Sample>& samples) {
    for (const Sample& sample : samples) {
      if (calibrator != nullptr && calibrator->uses(sample)) others.push_back(sample);
    }
  };
  add_used(other_test_);
  for (const Category& category : evaluable_.categories) {
    if (!same) add_used(category.test);
  }
  for_each_prediction(whole, others, {calibrate});
  return evaluations;
}

// Of up to 64 of them, spread evenly: the same ones whether features were computed, cached or resumed from.
TrainingImages TrainRun::training_images() const {
  constexpr size_t most = 64;
  const std::vector<Sample>& samples = features_.samples();
  ReadAhead images(in_order(pictures_of_some(samples, most)), [](const Image&) { return Tensor(); },
                   {.pixels = model_->config().image.pixels, .keep = no_pixels});
  TrainingImages result;
  result.strips = !samples.empty() && samples[0].grouping == Grouping::strips;
  for (auto read = images.next(1); !read.empty(); read = images.next(1)) {
    if (read[0].error.empty()) result.add(read[0]);
  }
  if (model_->config().image.pixels.channels == 1 && result.grey < result.images)
    fmt::print("of {}, {} in colour: converted to grey, the one channel of the model\n",
               counted(result.images, "training image"), counted(result.images - result.grey, "is", "are"));
  return result;
}

// None where the images for it are missing: the model is worth keeping all the same.
std::optional<Calibration> TrainRun::thresholds(const Calibrator& calibrator) const {
  try {
    const Calibration found = calibrator.compute();
    fmt::print("thresholds: images {:.6f}, pixels {:.6f}, ", found.all.image, found.all.pixel);
    if (found.all.object) fmt::print("objects {:.6f}, ", *found.all.object);
    if (found.inspection.roi.on()) fmt::print("counting {}, ", found.inspection.roi.text());
    fmt::print("from {} good and {}", found.good_images, counted(found.anomalous_images, "anomalous image"));
    if (found.method == CalibrationMethod::good)
      fmt::print("; expect at most a share of {:.2g} of good images to be called anomalous",
                 found.promised_rate);
    fmt::print("\n");
    return found;
  } catch (const InputError& error) {
    print_error(
        "no thresholds in the model: {}; images that it was trained on do not count, dinomaly calibrate "
        "takes "
        "others\n",
        error.what());
    return std::nullopt;
  }
}

// As judged by a program that loads the model: weights that no longer change are packed, which orders sums otherwise.
void TrainRun::make_final() {
  if (processes_.largest(best_ ? 1 : 0) == 1) {
    if (writes_) take_best();
    for (const auto& [name, parameter] : model_->named_trained_parameters()) {
      const Tensor weights = parameter.value().to(Device::cpu()).contiguous();
      processes_.broadcast(weights, 0);
      parameter.value().copy_from(weights);
    }
  }
  model_->set_requires_grad(false);
}

void TrainRun::help() {
  make_final();
  processes_.barrier();  // it could be made int8
  if (options_.stores_int8()) quantize_trained(*model_, features_.samples());
  help_first([this]() -> const Dinomaly& { return *model_; }, processes_);
}

std::vector<CategoryResult> TrainRun::finish() {
  log_->finish();
  if (options_.eval_every > 0) write_file(out_ / "validation.csv", validation_);
  make_final();
  ModelFileOptions file;
  file.slim = options_.slim;
  file.training_images = training_images();
  file.encoder_name = options_.encoder ? utf8(options_.encoder->filename().string()) : bundled_encoder_name;
  const auto save = [&] { save_model(out_ / model_name, *model_, encoder_.config, file); };
  std::optional<Calibrator> calibrator;
  const Stopwatch watch;
  std::vector<PaperEvaluation> evaluations;
  try {
    if (options_.stores_int8()) quantize_trained(*model_, features_.samples());
    processes_.barrier();  // now the others can, too
    calibrator = make_calibrator(options_, model_->config(), evaluable_, other_test_);
    evaluations = judge(calibrator ? &*calibrator : nullptr);
    dismiss_helpers(processes_);
  } catch (...) {  // the trained model outlives an unreadable image, and too little memory for judging
    if (options_.stores_int8() && !is_quantized(*model_))
      print_error("{} has f32 weights, not int8\n", model_name);
    save();
    throw;
  }
  if (calibrator) file.calibration = thresholds(*calibrator);
  save();
  std::vector<CategoryResult> results;
  for (PaperEvaluation& evaluation : evaluations) results.push_back(evaluation.compute());
  seconds_.evaluate = watch.seconds();
  write_results(out_, results, evaluable_, model_->config(), seconds_);
  return results;
}

}  // namespace dinomaly
