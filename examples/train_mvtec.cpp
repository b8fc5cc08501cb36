// Trains Dinomaly on images in MVTec AD's layout and judges it: the whole paper in one loop.
//
//   train_mvtec --data MVTEC --categories bottle,pill --encoder dinov2_vits14_reg4.safetensors --out out
//
// Without --data it draws its own images, without --encoder it takes a random one. It ends with a table of
// metrics; OUT gets metrics.json, log.csv, model.safetensors and heatmaps/CATEGORY/DEFECT_ID.png.
// `dinomaly train` does the same with checkpoints, validations and one model a category where asked.
#include "dinomaly/base/files.h"
#include "dinomaly/cli/program.h"
#include "dinomaly/cli/train_run.h"
#include "dinomaly/model/model_file.h"

using namespace dinomaly;

// Trainer::compute() is the paper's algorithm.
static void train(Dinomaly& model, FeatureStore& features, const std::filesystem::path& log_file) {
  const Config& config = model.config();
  Trainer trainer(model, features);
  TrainingLog log(log_file, config.iterations, config.batch);
  while (!trainer.done()) {
    trainer.advance();
    const std::vector<TrainingStep> steps = trainer.finished(trainer.done());  // on a GPU many at once
    log.together(static_cast<int64_t>(steps.size()));
    for (const TrainingStep& step : steps) {
      log.tick(step.iteration, step.loss, step.learning_rate, step.grad_norm);
    }
  }
  log.finish();
}

static int run(int argc, char** argv) {
  const TrainOptions options =
      parse_train_options(argc, argv, "Train and evaluate Dinomaly on an MVTec AD folder");
  const EncoderWeights encoder = open_encoder(options);
  const std::unique_ptr<Dinomaly> model = make_model(options, encoder);
  const Dataset dataset = open_dataset(options), judged = judged_part(dataset);
  make_folder(options.out);

  RunSeconds seconds;
  FeatureStore features(*model, training_samples(dataset), options.config.batch);
  const Stopwatch train_watch;
  train(*model, features, options.out / "log.csv");  // encodes the images as it meets them
  seconds.features = features.seconds();
  seconds.train = train_watch.seconds() - seconds.features;
  fmt::print("features of {} images: {:.1f} s, {:.0f} MB\n", features.computed(), seconds.features,
             static_cast<double>(features.bytes()) / 1e6);
  save_model(options.out / "model.safetensors", *model, encoder.config);

  const Stopwatch evaluate_watch;
  const std::vector<CategoryResult> results = evaluate_all(*model, judged);
  seconds.evaluate = evaluate_watch.seconds();
  write_results(options.out, results, judged, model->config(), seconds);
  return 0;
}

int main(int argc, char** argv) {
  return run_program("train_mvtec", [&] { return run(argc, argv); });
}
