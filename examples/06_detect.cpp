// 06: the whole method, small: learn from images of good wood, then judge unseen ones, some of them damaged.
//
//   build/bin/06_detect
//
// Expected output:
//   the loss fell to less than half: yes
//   mean score of damaged wood over that of sound wood: above 2
//   image AUROC: above 0.9
#include <unistd.h>

#include <filesystem>

#include "dinomaly/base/program.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/synthetic/procedural.h"
#include "dinomaly/training/feature_store.h"
#include "dinomaly/training/sampler.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"

using namespace dinomaly;

constexpr int64_t side = 112, steps = 40;

// A random encoder instead of DINOv2: enough for coarse defects, and nothing to download.
static EncoderWeights small_encoder() {
  EncoderConfig config;
  config.width = 96, config.heads = 3, config.depth = 10, config.patch = 14, config.hidden = 4 * config.width;
  config.grid_h = config.grid_w = side / config.patch;
  Generator generator(1);
  return random_encoder(config, generator);
}

static Config small_config() {
  Config config;
  config.iterations = steps, config.batch = 8, config.warmup_steps = 10;
  config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = side;
  return config;
}

// The encoder is frozen: its features are computed once, and only bottleneck and decoder learn.
static std::pair<double, double> train(Dinomaly& model, FeatureStore& features) {
  const Config& config = model.config();
  StableAdamW optimizer(model.trained_parameters(), {.eps = config.adam_eps});
  const WarmCosineSchedule learning_rate = config.schedule();
  ShuffledSampler sampler(features.size(), config.batch, 2);
  Generator dropout(3);
  double first = 0, last = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const Reconstruction both = model.reconstruct(features.gather(sampler.next()), dropout);
    const Variable loss = hard_mining_cosine_loss(both, mining_share(config, step), config.mining_factor);
    optimizer.zero_grad();
    loss.backward();
    const double norm = grad_norm(model.trained_parameters());
    optimizer.step(learning_rate(step), clip_factor(norm, config.clip_norm));
    (step == 0 ? first : last) = loss.item();
  }
  return {first, last};
}

// An image's score: how badly the decoder rebuilds the worst spots of what the encoder sees.
static std::vector<float> scores_of(Dinomaly& model, const std::vector<Sample>& samples) {
  const Predictor predictor(model);
  std::vector<float> scores;
  for (const Sample& sample : samples) {
    scores.push_back(static_cast<float>(predictor.predict(load_image_rgb(sample.image)).score));
  }
  return scores;
}

static int run() {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("06_detect.{}", getpid());
  make_dataset(folder, {.size = side, .train = 16, .good = 6, .per_defect = 4, .categories = {"wood"}});
  const Category wood = read_mvtec(folder).categories[0];
  const EncoderWeights encoder = small_encoder();
  Dinomaly model(encoder.config, small_config());
  load_encoder_weights(model.encoder(), encoder, "random encoder");
  FeatureStore features(model, wood.train, 8);
  const auto [first, last] = train(model, features);
  fmt::print("the loss fell to less than half: {}\n", last < 0.5 * first ? "yes" : "no");

  const std::vector<float> scores = scores_of(model, wood.test);
  std::filesystem::remove_all(folder);
  std::vector<uint8_t> damaged;
  double sum[2] = {0, 0};
  for (size_t i = 0; i < scores.size(); ++i) {
    damaged.push_back(wood.test[i].anomalous);
    sum[damaged.back()] += scores[i];
  }
  const double ratio = (sum[1] / 20) / (sum[0] / 6), auroc = roc_auc(scores, damaged);
  fmt::print("mean score of damaged wood over that of sound wood: {} 2\n", ratio > 2 ? "above" : "below");
  fmt::print("image AUROC: {} 0.9\n", auroc > 0.9 ? "above" : "below");
  return 0;
}

int main() { return run_program("06_detect", run); }
