// Trains Dinomaly on a data set and judges it: the whole paper in one loop, train() below.
//
//   train_mvtec --data MVTEC --categories bottle,pill --encoder dinov2_vits14_reg4.safetensors --out out
//
// Without --data it draws its own images, without --encoder it takes its own (assets/). It ends with a table of
// metrics; OUT gets metrics.json, log.csv, model.safetensors and heatmaps/CATEGORY/DEFECT_ID.png.
// `dinomaly train` does the same with checkpoints, validations and, where asked, one model per category.
#include <CLI/CLI.hpp>
#include <cmath>

#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/stopwatch.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/evaluation/evaluate_all.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/report/results.h"
#include "dinomaly/training/draws.h"
#include "dinomaly/training/fit_to_data.h"
#include "dinomaly/training/fit_whitening.h"
#include "dinomaly/training/quantize_trained.h"
#include "dinomaly/training/sampler.h"
#include "dinomaly/training/train_inputs.h"
#include "dinomaly/training/trainer.h"
#include "dinomaly/training/training_log.h"
#include "nn/optim/clip_grad_norm.h"

using namespace dinomaly;

// The encoder is frozen, so its features of an image are computed once, when the image is first asked for.
// Bottleneck and decoder learn to reconstruct them; what they cannot reconstruct will be an anomaly.
static void train(Dinomaly& model, FeatureStore& features, const std::filesystem::path& log_file) {
  const Config& config = model.config();
  const std::vector<Variable> parameters = model.trained_parameters();
  StableAdamW optimizer = make_optimizer(model);
  const WarmCosineSchedule learning_rate = config.schedule();
  const Draws draws(features.samples(), config.seed);  // of images, of pairs or of one view of several
  ShuffledSampler sampler(draws.count(), draws.in_batch(config.batch), config.seed);
  Generator dropout(config.seed);
  TrainingLog log(log_file, config.iterations, config.batch);
  features.expect(draws.images(sampler.remaining(), 0));
  model.train();
  Features batch;
  for (int64_t step = 0; step < config.iterations; ++step) {
    batch = features.gather(draws.images(sampler.next(), step * config.batch), step);
    optimizer.zero_grad();
    const Reconstruction both = model.reconstruct(batch, dropout);
    const Variable loss = hard_mining_cosine_loss(both, mining_share(config, step), config.mining_factor);
    loss.backward();
    const double norm = grad_norm(parameters);
    if (config.skip_not_finite && !std::isfinite(norm)) {
      log.add_skipped(step, learning_rate(step));
      continue;
    }
    log.add_step(step, loss.item(), learning_rate(step), norm);  // refuses what is not finite
    optimizer.step(learning_rate(step), clip_factor(norm, config.clip_norm));
  }
  log.finish();
  if (config.iterations > 0) check_reconstructs(model, batch, config.iterations - 1);
}

// None where only the help was asked for. The preset, then the file's options, then --set, then the other
// flags: later ones win.
static std::optional<TrainOptions> parse(int argc, char** argv) {
  TrainOptions options;
  OptionTexts texts;
  CLI::App app{"Train and evaluate Dinomaly on a data set"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--data", options.data, "data set (default: images drawn by the program)");
  app.add_option("--layout", options.layout, "auto, " + layout_names());
  app.add_option("--categories", options.categories, "a,b: the categories to train on (default: all)")
      ->delimiter(',');
  app.add_option("--shots", options.shots, "few-shot training: images of each category, varied; 0: all");
  app.add_option("--encoder", options.encoder, "the ViT's weights, or 'random' (default: the program's own)");
  app.add_option("--heads", options.heads, "attention heads (default: width / 64)");
  app.add_option(
      "--out", options.out,
      "folder for metrics, log, model and heatmaps; replaces those of an earlier run (dinomaly-out)");
  app.add_option("--threads", options.threads, "threads to compute with; 0: one per processor");
  app.add_option("--precision", options.precision,
                 "f32, bf16, f64, or int8: trained in f32, then stored in 8 bits");
  app.add_option("--device", options.device_name, "cpu, cuda, cuda:N or auto");
  app.add_flag("--deterministic")->description("no effect: every run is deterministic");
  app.add_option("--preset", texts.preset, "paper (the authors' code, default), anomalib or dinomaly2");
  app.add_option("--config", texts.file, "JSON file with any options");
  app.add_option("--set", texts.settings, "NAME=VALUE, any option of the model; may be repeated");
  app.add_option("--resize", texts.resize,
                 "pixels, N or HEIGHTxWIDTH (448; DINOv3 512; the program's encoder 256)");
  app.add_option("--crop", texts.crop,
                 "pixels of the centre crop, N or HEIGHTxWIDTH (392; DINOv3 448; the program's encoder 224)");
  app.add_option("--channels", options.config.image.pixels.channels,
                 "1 to 16 channels of the images (default: the encoder's)");
  app.add_option("--mean", texts.mean, "r,g,b,... the images are normalised by (ImageNet's)");
  app.add_option("--std", texts.std, "r,g,b,... (ImageNet's)");
  app.add_option("--feature-whitening", options.config.feature_whitening,
                 "rank of the whitening of the target features, for weak encoders (none)");
  app.add_option("--whitening-shrinkage", options.config.whitening_shrinkage,
                 "added to each eigenvalue, a share of their mean (0.01)");
  app.add_option("--iterations", options.config.iterations,
                 "training steps (10000; anomalib 5000; dinomaly2 by the data)");
  app.add_option("--batch", options.config.batch, "images per step (16)");
  app.add_option("--seed", options.config.seed, "seed of initial weights, order and dropout (1)");
  for (const char* list : {"--categories", "--set"})
    app.get_option(list)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (!parse_flags(app, argc, argv)) return std::nullopt;
  options.apply(texts);
  parse_flags(app, argc, argv);  // again, for the flags that win over the file
  for (const char* name : {"channels", "iterations", "batch", "seed"})
    if (app.count(fmt::format("--{}", name)) > 0) options.given[name] = GivenBy::flag;
  options.prepare();
  return options;
}

static int run(TrainOptions options) {
  const EncoderWeights encoder = open_encoder(options);
  options.complete_config(encoder.config.depth, encoder.config.patch, encoder.config.channels);
  const FolderLock lock(options.out);
  draw_dataset(options);  // where no data is named
  const Dataset dataset = open_dataset(options), evaluable = evaluable_part(dataset);
  fit_to_data(options, dataset, encoder.config.patch);
  const std::unique_ptr<Dinomaly> model = make_model(options, encoder);

  FeatureStore features(*model, training_samples(dataset), options.config.batch,
                        {.augment = options.shots > 0});
  const Stopwatch train_watch;
  fit_whitening(*model, features);  // where asked for
  train(*model, features, options.out / "log.csv");
  model->set_requires_grad(false);  // judged as by a program that loads it: weights that stay are packed
  RunSeconds seconds{.features = features.seconds(), .train = train_watch.seconds() - features.seconds()};
  fmt::print("features of {}: {:.1f} s, {:.0f} MB\n", counted(features.computed(), "image"), seconds.features,
             static_cast<double>(features.bytes()) / 1e6);
  if (options.stores_int8()) quantize_trained(*model, features.samples());
  save_model(options.out / "model.safetensors", *model, encoder.config);

  const Stopwatch evaluate_watch;
  const std::vector<CategoryResult> results = evaluate_all(*model, evaluable);
  seconds.evaluate = evaluate_watch.seconds();
  write_results(options.out, results, evaluable, model->config(), seconds);
  return 0;
}

int main(int argc, char** argv) {
  return run_program("train_mvtec", [&] {
    const std::optional<TrainOptions> options = parse(argc, argv);
    return options ? run(*options) : 0;
  });
}
