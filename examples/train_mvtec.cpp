// Trains Dinomaly on pictures in MVTec AD's layout and judges it: the whole paper in one loop.
//
//   train_mvtec --data MVTEC --categories bottle,pill --encoder dinov2_vits14_reg4.safetensors --out out
//
// Without --data it draws its own pictures, without --encoder it takes a random one. It ends with a table of
// metrics; OUT gets metrics.json, log.csv, model.safetensors and heatmaps/CATEGORY/DEFECT_ID.png.
#include <cstdio>

#include "dinomaly/cli/program.h"
#include "dinomaly/cli/train_options.h"
#include "dinomaly/data/sampler.h"
#include "dinomaly/evaluate.h"
#include "dinomaly/feature_store.h"
#include "dinomaly/files.h"
#include "dinomaly/loss.h"
#include "dinomaly/model_file.h"
#include "dinomaly/report/results.h"
#include "dinomaly/report/training_log.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"

using namespace dinomaly;

// The paper's algorithm: reconstruct the frozen encoder's features of normal pictures.
static void train(Dinomaly& model, const FeatureStore& features, const std::filesystem::path& log_file) {
  const Config& config = model.config();
  ShuffledSampler sampler(features.size(), config.batch, config.seed);
  Generator dropout(config.seed);
  StableAdamW optimizer(model.trained_parameters(),
                        {config.beta1, config.beta2, config.adam_eps, config.weight_decay});
  const WarmCosineSchedule learning_rate = config.schedule();
  TrainingLog log(log_file, config.iterations, config.batch);
  model.train();
  for (int64_t step = 0; step < config.iterations; ++step) {
    const Features batch = features.gather(sampler.next());
    const Reconstruction reconstruction = model.reconstruct(batch, dropout);
    const Variable loss =
        hard_mining_cosine_loss(reconstruction, mining_share(config, step), config.mining_factor);
    optimizer.zero_grad();
    loss.backward();
    const double norm = grad_norm(model.trained_parameters());
    optimizer.step(learning_rate(step), clip_factor(norm, config.clip_norm));
    log.tick(step, loss.item(), learning_rate(step), norm);
  }
  log.finish();
}

static int run(int argc, char** argv) {
  const TrainOptions options =
      parse_train_options(argc, argv, "Train and evaluate Dinomaly on an MVTec AD folder");
  const EncoderWeights encoder = open_encoder(options);
  Dinomaly model(encoder.config, options.config);
  load_encoder_weights(model.encoder(), encoder, options.encoder.value_or("random encoder").string());
  model.to(options.precision);
  const Dataset dataset = open_dataset(options);

  make_folder(options.out);

  std::vector<Sample> normal;  // one model for all categories
  for (const Category& category : dataset.categories) {
    normal.insert(normal.end(), category.train.begin(), category.train.end());
  }
  RunSeconds seconds;
  Stopwatch features_watch;
  const FeatureStore features(model, normal, options.config.batch);
  seconds.features = features_watch.seconds();
  fmt::print("features of {} images: {:.1f} s, {:.0f} MB\n", features.size(), seconds.features,
             static_cast<double>(features.bytes()) / 1e6);

  Stopwatch train_watch;
  train(model, features, options.out / "log.csv");
  seconds.train = train_watch.seconds();
  save_model(options.out / "model.safetensors", model, encoder.config);

  Stopwatch evaluate_watch;
  std::vector<CategoryResult> results;
  for (const Category& category : dataset.categories) {
    results.push_back(evaluate(model, category, options.config.batch));
  }
  seconds.evaluate = evaluate_watch.seconds();
  write_heatmaps(options.out / "heatmaps", results, dataset, model.config());
  write_metrics(options.out / "metrics.json", results, model.config(), seconds);
  print_metrics(results);
  fmt::print("features {:.1f} s, training {:.1f} s, evaluation {:.1f} s; results in {}\n", seconds.features,
             seconds.train, seconds.evaluate, options.out.string());
  return 0;
}

int main(int argc, char** argv) {
  return run_program("train_mvtec", [&] { return run(argc, argv); });
}
