// Several processes take the steps that one process takes.
#include "dinomaly/training/trainer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/model/whitening.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

constexpr int64_t batch = 6;  // in 4 processes shares of 1, 2, 1 and 2

std::unique_ptr<Dinomaly> model_in_f64() {
  const SmallDetector detector(Preset::paper);
  Config config = detector.model->config();
  config.iterations = 50, config.batch = batch, config.seed = 7, config.warmup_steps = 5,
  config.clip_norm = 0.02;
  config.learning_rate = 0.002, config.mining_steps = 20;
  auto model = std::make_unique<Dinomaly>(detector.encoder.config, config);
  load_encoder_weights(model->encoder(), detector.encoder, "small encoder");
  model->to(Dtype::f64);
  return model;
}

struct Run {
  std::vector<TrainingStep> steps;
  std::vector<double> weights;
  int64_t encoded = 0;  // images, by this process
};

Run train(const std::vector<Sample>& samples, Communicator& processes) {
  const auto model = model_in_f64();
  FeatureStore features(*model, samples, 2);
  Trainer trainer(*model, features, true, processes);
  Run run;
  while (!trainer.done()) run.steps.push_back(trainer.step());
  for (const auto& [name, parameter] : model->named_trained_parameters()) {
    for (const double weight : parameter.value().to_vector<double>()) run.weights.push_back(weight);
  }
  run.encoded = features.computed();
  return run;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / (1 + std::abs(b[i])));
  return worst;
}

// Drawn by each process for itself: no file is shared.
struct DrawnImages {
  DrawnImages() {
    make_dataset(folder / "set",
                 {.size = 64, .train = 15, .good = 1, .per_defect = 1, .categories = {"wood"}});
    samples = read_mvtec(folder / "set").categories[0].train;
  }
  TemporaryFolder folder;
  std::vector<Sample> samples;
};

}  // namespace

TEST_CASE("training: 50 steps of several processes are those of one, to the rounding of sums") {
  const DrawnImages images;
  const Run alone = train(images.samples, single_process()), together = train(images.samples, communicator());
  REQUIRE(alone.steps.size() == together.steps.size());
  for (size_t i = 0; i < alone.steps.size(); ++i) {
    CAPTURE(i);
    CHECK(together.steps[i].loss == doctest::Approx(alone.steps[i].loss).epsilon(1e-12));
    CHECK(together.steps[i].grad_norm == doctest::Approx(alone.steps[i].grad_norm).epsilon(1e-10));
  }
  CHECK(worst_difference(together.weights, alone.weights) < 1e-12);
}

TEST_CASE("training: the same number of processes gives the same bits, in every one of them") {
  const DrawnImages images;
  const Run one = train(images.samples, communicator()), other = train(images.samples, communicator());
  CHECK(one.weights == other.weights);
  const auto count = static_cast<int64_t>(one.weights.size());
  const Tensor first = Tensor::from(one.weights, {count});
  communicator().broadcast(first, 0);
  CHECK(first.to_vector<double>() == one.weights);
}

TEST_CASE("training: each image is encoded by one process, once") {
  const DrawnImages images;
  const Run run = train(images.samples, communicator());
  const Tensor encoded = Tensor::full({1}, static_cast<double>(run.encoded), Dtype::i64);
  communicator().all_reduce(encoded);
  CHECK(encoded.item() == static_cast<double>(images.samples.size()));
  CHECK(run.encoded < static_cast<int64_t>(images.samples.size()));
}

TEST_CASE("training: a run goes on with what another number of processes has saved") {
  const DrawnImages images;
  const auto steps_and_state = [&](Communicator& processes, int64_t steps, const NamedTensors& from) {
    const auto model = model_in_f64();
    FeatureStore features(*model, images.samples, 2);
    Trainer trainer(*model, features, true, processes);
    if (!from.empty()) trainer.load_state({from.begin(), from.end()}, "the run before");
    for (int64_t i = 0; i < steps; ++i) trainer.step();
    NamedTensors state;
    for (const auto& [name, tensor] : trainer.state()) state.emplace_back(name, tensor.clone());
    return state;
  };
  const NamedTensors whole = steps_and_state(single_process(), 12, {});
  const NamedTensors resumed = steps_and_state(single_process(), 4, steps_and_state(communicator(), 8, {}));
  REQUIRE(whole.size() == resumed.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(whole[i].first);
    CHECK(worst_difference(resumed[i].second.to_vector<double>(), whole[i].second.to_vector<double>()) <
          1e-11);
  }
}

TEST_CASE("whitening: of several processes that of one, to the bit, and each image is encoded once") {
  const DrawnImages images;
  for (const bool augment : {false, true}) {
    CAPTURE(augment);
    std::vector<std::vector<double>> found;
    for (Communicator* processes : {&single_process(), &communicator()}) {
      const SmallDetector detector(Preset::paper);
      Config config = detector.model->config();
      config.iterations = 4, config.batch = batch, config.feature_whitening = 6;
      Dinomaly model(detector.encoder.config, config);
      load_encoder_weights(model.encoder(), detector.encoder, "small encoder");
      FeatureStore features(model, images.samples, 2, {.augment = augment});
      Trainer trainer(model, features, true, *processes);
      trainer.fit_whitening();
      std::vector<double>& values = found.emplace_back();
      for (const auto& [name, tensor] : model.whitening()->state_dict()) {
        for (const double value : tensor.to_vector<double>()) values.push_back(value);
      }
      trainer.step();
      if (augment) continue;
      const Tensor encoded = Tensor::full({1}, static_cast<double>(features.computed()), Dtype::i64);
      processes->all_reduce(encoded);
      CHECK(encoded.item() == static_cast<double>(images.samples.size()));
    }
    CHECK(found[0] == found[1]);
  }
}

TEST_CASE("training: a batch with fewer images than processes is refused") {
  const DrawnImages images;
  const SmallDetector detector(Preset::paper);
  CHECK_THROWS_WITH_AS(
      share_of_batch(communicator().size() - 1, communicator().rank(), communicator().size()),
      doctest::Contains("each needs one"), InputError);
}

}  // namespace dinomaly
