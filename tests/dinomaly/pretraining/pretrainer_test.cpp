// The step of pretraining, its state, and the encoder that comes of it.
#include "dinomaly/pretraining/pretrainer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "dinomaly/pretraining/probe.h"
#include "dinomaly/weights/weights_file.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

PretrainOptions tiny_pretraining(Objective objective = Objective::all) {
  PretrainOptions options;
  options.width = 24, options.depth = 3, options.heads = 2;
  options.crop = 48, options.scene = 104, options.pairs = 4, options.pool = 4, options.fresh = 1;
  options.objective = objective;
  options.learning_rate = 3e-3;
  return options;
}

std::map<std::string, std::vector<float>> values_of(Pretrainer& trainer) {
  std::map<std::string, std::vector<float>> values;
  for (const auto& [name, tensor] : trainer.state()) values[name] = tensor.to_vector<float>();
  return values;
}

// Mean loss of the steps from `begin` to `end`.
double mean_loss(Pretrainer& trainer, int64_t steps, double& first) {
  double last = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const double loss = trainer.step(static_cast<double>(step) / static_cast<double>(steps)).loss;
    if (step < 8) first += loss / 8;
    if (step >= steps - 8) last += loss / 8;
  }
  return last;
}

}  // namespace

TEST_CASE("pretraining: each objective lowers its loss") {
  for (const Objective objective : {Objective::all, Objective::dense, Objective::masked, Objective::labels}) {
    CAPTURE(name_of(objective));
    Pretrainer trainer(tiny_pretraining(objective));
    double first = 0;
    const double last = mean_loss(trainer, 60, first);
    CHECK(last < (objective == Objective::labels ? 0.97 : 0.9) * first);
  }
}

TEST_CASE("pretraining: an objective has its own terms and no others") {
  const auto numbers = [](Objective objective) { return Pretrainer(tiny_pretraining(objective)).step(0); };
  const PretrainStep all = numbers(Objective::all), dense = numbers(Objective::dense),
                     masked = numbers(Objective::masked), labels = numbers(Objective::labels);
  CHECK(all.contrast > 0);
  CHECK(all.masked > 0);
  const PretrainOptions options;
  CHECK(all.loss == doctest::Approx(all.contrast + all.masked + options.variance * all.variance +
                                    options.covariance * all.covariance)
                        .epsilon(1e-4));
  CHECK(dense.masked == 0);
  CHECK(masked.contrast == 0);
  CHECK(labels.labels == doctest::Approx(labels.loss));
  CHECK(all.rank >= 1);
  CHECK(all.rank <= 24);
}

TEST_CASE("pretraining: a run that is resumed has the bits of one that was not") {
  const PretrainOptions options = tiny_pretraining();
  Pretrainer whole(options), begun(options), resumed(options);
  for (int step = 0; step < 4; ++step) whole.step(step / 6.0);
  for (int step = 0; step < 2; ++step) begun.step(step / 6.0);
  std::map<std::string, Tensor> saved;
  for (const auto& [name, tensor] : begun.state()) saved[name] = tensor.clone();
  resumed.load_state(saved, "file");
  CHECK(resumed.step_count() == 2);
  for (int step = 2; step < 4; ++step) resumed.step(step / 6.0);
  CHECK(values_of(resumed) == values_of(whole));
  saved.erase("steps");
  CHECK(one_line_with(input_error([&] { resumed.load_state(saved, "file"); }),
                      "file: the number of steps is missing"));
}

TEST_CASE("pretraining: the result is an encoder of DINOv3's kind, and its keys have no bias") {
  const TemporaryFolder folder;
  const PretrainOptions options = tiny_pretraining();
  Pretrainer trainer(options);
  for (int step = 0; step < 3; ++step) trainer.step(0.3);
  for (const auto& [name, tensor] : trainer.state()) {
    if (!name.starts_with("student.") || !name.ends_with("attn.qkv.bias")) continue;
    const std::vector<float> bias = tensor.to_vector<float>();
    for (int64_t i = 0; i < 24; ++i) CHECK(bias[static_cast<size_t>(24 + i)] == 0);
    CHECK(*std::max_element(bias.begin(), bias.begin() + 24) > 0);
  }
  trainer.teacher().save_encoder(folder / "encoder.safetensors", Dtype::bf16);
  const WeightsFile file = load_weights_file(folder / "encoder.safetensors");
  const EncoderWeights weights = load_encoder(file.tensors, file.source());
  CHECK(weights.config == options.encoder());
  CHECK(weights.unused.size() == 3);  // norm and mask token
  Encoder encoder(weights.config, Preset::paper);
  load_encoder_weights(encoder, weights, "file");
  Generator generator(1);
  const Tensor image = Tensor::normal({1, 3, 48, 48}, 0, 1, generator);
  const auto last_of = [&](const Encoder& model, Dtype dtype) {
    std::vector<float> values;
    model.features(Variable(image.to(dtype)), {2},
                   [&](size_t, const Variable& x) { values = x.value().to_vector<float>(); });
    return values;
  };
  const std::vector<float> loaded = last_of(encoder, Dtype::f32),
                           trained = last_of(trainer.teacher().encoder(), Dtype::bf16);
  double error = 0, size = 0;
  for (size_t i = 0; i < loaded.size(); ++i)
    error += std::abs(loaded[i] - trained[i]), size += std::abs(loaded[i]);
  CHECK(error < 0.02 * size);
}

TEST_CASE("pretraining: hidden patches are seen by nobody") {
  Generator generator(2);
  const PretrainOptions options = tiny_pretraining();
  const PretrainModel model(options, generator);
  const Tensor hidden = Tensor::zeros({1, 9}, Dtype::u8);
  hidden.slice(1, 4, 5).fill(1);
  const Tensor one = Tensor::normal({1, 3, 48, 48}, 0, 1, generator), other = one.clone();
  other.slice(2, 16, 32).slice(3, 16, 32).fill(3);  // patch 4
  const auto last = [&](const Tensor& image, const Tensor& places) {
    return model.features(Variable(image.to(options.dtype)), places).last.value().to_vector<float>();
  };
  CHECK(last(one, hidden) == last(other, hidden));
  CHECK(last(one, {}) != last(other, {}));
}

TEST_CASE("pretraining: the probe finds what no training image has") {
  const TemporaryFolder folder;
  const auto sample = [&](const std::string& name, uint8_t spot) {
    Image image(256, 256, 3);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i / 3 % 256 / 2);
    for (int64_t y = 100; spot > 0 && y < 130; ++y) std::fill_n(image.at(100, y), 90, spot);
    save_png(folder / name, image);
    Sample result;
    result.image = folder / name;
    result.anomalous = spot > 0;
    return result;
  };
  Category category{"bars",
                    {sample("train.png", 0)},
                    {sample("good.png", 0), sample("bad.png", 255), sample("worse.png", 200)}};
  Generator generator(3);
  const PretrainOptions options = tiny_pretraining();
  const PretrainModel model(options, generator);
  const ProbeResult found = Probe(category)(model.encoder(), options.target_blocks(), options.dtype);
  CHECK(found.raw == 1);
  CHECK(found.standardised == 1);
  category.test.pop_back();
  category.test.pop_back();
  CHECK(one_line_with(input_error([&] { Probe{category}; }), "bars: cannot be probed"));
}

}  // namespace dinomaly
