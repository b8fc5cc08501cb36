// SPEC "Optimisation": Trainer::step() against the same algorithm written out by hand, in double.
#include "dinomaly/training/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

constexpr double peak = 0.05, last = 0.01, beta1 = 0.8, beta2 = 0.95, eps = 1e-3, decay = 0.1, clip = 0.02;

// Every number of the algorithm differs from its default, and from every other one.
std::unique_ptr<Dinomaly> small_model_with_its_own_numbers() {
  const SmallDetector detector(Preset::paper);
  Config config = detector.model->config();
  config.mining_share = 0.6, config.mining_steps = 3, config.mining_factor = 0.3;
  config.iterations = 6, config.batch = 2, config.seed = 7, config.warmup_steps = 2;
  config.learning_rate = peak, config.final_learning_rate = last, config.clip_norm = clip;
  config.beta1 = beta1, config.beta2 = beta2, config.adam_eps = eps, config.weight_decay = decay;
  config.init_std = 0.3, config.init_cut = 1;
  auto model = std::make_unique<Dinomaly>(detector.encoder.config, config);
  load_encoder_weights(model->encoder(), detector.encoder, "small encoder");
  model->to(Dtype::f64);
  return model;
}

double learning_rate(int64_t step) {
  if (step < 2) return peak * static_cast<double>(step);  // linspace(0, peak, 2)
  return last + 0.5 * (peak - last) * (1 + std::cos(std::numbers::pi * static_cast<double>(step - 2) / 4));
}

// StableAdamW with AMSGrad on one tensor.
struct Adam {
  std::vector<double> first, second, largest;

  void step(const Variable& parameter, double rate, double scale, int64_t t) {
    auto p = parameter.value().to_vector<double>();
    const auto gradient = parameter.grad().to_vector<double>();
    first.resize(p.size()), second.resize(p.size()), largest.resize(p.size());
    std::vector<double> denominator(p.size());
    double squares = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = scale * gradient[i];
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      largest[i] = std::max(largest[i], second[i]);
      denominator[i] = std::sqrt(largest[i] / (1 - std::pow(beta2, t))) + eps;
      squares += g / denominator[i] * (g / denominator[i]);
    }
    const double r = std::max(1.0, std::sqrt(squares / static_cast<double>(p.size())));
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] = p[i] * (1 - rate * decay) - rate / (1 - std::pow(beta1, t)) / r * first[i] / denominator[i];
    }
    parameter.value().copy_from(Tensor::from(p, parameter.shape()));
  }
};

double norm_of_gradients(const std::vector<Variable>& parameters) {
  double squares = 0;
  for (const Variable& parameter : parameters) {
    for (double value : parameter.grad().to_vector<double>()) squares += value * value;
  }
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("kept features are the encoder's, image by image, group by group, in the order asked for") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 3, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = small_model_with_its_own_numbers();
  const Features kept = FeatureStore(*model, samples, 2).gather({2, 0});
  const std::vector<Sample> asked{samples[2], samples[0]};
  std::vector<Tensor> images;
  for (const Sample& sample : asked) {
    images.push_back(preprocess(load_image_rgb(sample.image), model->config().image).unsqueeze(0));
  }
  const Features fresh = model->encode(cat(images, 0));
  const auto same = [](const Tensor& a, const Tensor& b) {
    const auto x = a.to_vector<double>(), y = b.to_vector<double>();
    return a.shape() == b.shape() && std::equal(x.begin(), x.end(), y.begin(), [](double left, double right) {
             return std::abs(left - right) < 1e-12;  // sums over another batch
           });
  };
  CHECK(same(kept.bottleneck_input, fresh.bottleneck_input));
  REQUIRE(kept.encoded.size() == 2);
  for (size_t g = 0; g < 2; ++g) CHECK(same(kept.encoded[g], fresh.encoded[g]));
  CHECK_FALSE(same(kept.encoded[0], kept.encoded[1]));
  CHECK(kept.rows == fresh.rows);
  CHECK(kept.columns == fresh.columns);
}

TEST_CASE("kept features are computed as they are asked for, in the expected order, a batch at a time") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 7, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = small_model_with_its_own_numbers();
  FeatureStore at_once(*model, samples, 2), later(*model, samples, 2);
  at_once.complete();
  CHECK(at_once.computed() == 7);
  const auto numbers = [](FeatureStore& store, const std::vector<int64_t>& indices) {
    const Features features = store.gather(indices);
    auto all = features.bottleneck_input.to_vector<double>();
    for (const Tensor& group : features.encoded) {
      for (double x : group.to_vector<double>()) all.push_back(x);
    }
    return all;
  };
  const auto same = [&](const std::vector<int64_t>& indices) {
    return numbers(later, indices) == numbers(at_once, indices);  // to the bit, whoever shared its batch
  };
  later.expect({5, 1, 3});
  CHECK(later.computed() == 0);
  CHECK(same({1}));
  CHECK(later.computed() == 2);  // 5 and 1
  CHECK(same({5, 1}));
  CHECK(later.computed() == 2);
  later.expect({6, 5, 4});  // 5 is there already
  CHECK(same({4}));
  CHECK(later.computed() == 4);
  CHECK_FALSE(later.is_complete());
  CHECK(same({0, 6, 2, 3}));
  CHECK(later.computed() == 7);
  CHECK(later.is_complete());
  CHECK(later.bytes() == at_once.bytes());
}

TEST_CASE("kept features as int8 take a quarter of f32 and differ by half a step of each token at most") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 3, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = small_model_with_its_own_numbers();
  model->to(Dtype::f32);
  FeatureStore exact(*model, samples, 2);
  const Features expected = exact.gather({0, 1, 2});
  for (const size_t memory : {SIZE_MAX, size_t{1}}) {  // in memory, and in a file
    FeatureStore small(*model, samples, 2,
                       {.memory = memory, .folder = folder / "out", .dtype = FeatureDtype::int8});
    const Features features = small.gather({0, 1, 2});
    CHECK(small.place() == (memory == 1 ? "in a file" : "in memory"));
    const auto width = static_cast<size_t>(expected.bottleneck_input.size(2));
    CHECK(small.bytes() == exact.bytes() / 4 + exact.bytes() / width);  // the integers and the scales
    const auto a = expected.encoded[1].to_vector<float>(), b = features.encoded[1].to_vector<float>();
    REQUIRE(a.size() == b.size());
    double worst = 0;
    for (size_t token = 0; token < a.size(); token += width) {
      float largest = 0;
      for (size_t i = token; i < token + width; ++i) largest = std::max(largest, std::abs(a[i]));
      for (size_t i = token; i < token + width; ++i) {
        worst = std::max(worst, static_cast<double>(std::abs(a[i] - b[i]) / (largest / 127)));
      }
    }
    CHECK(worst <= 0.5001);
    CHECK(worst > 0.3);
  }
}

TEST_CASE("trainer: each step draws a batch, mines, clips, and moves by the rate of this very step") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 5, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = small_model_with_its_own_numbers(), by_hand = small_model_with_its_own_numbers();
  FeatureStore features(*model, samples, 3);
  Trainer trainer(*model, features);

  ShuffledSampler sampler(5, 2, 7);
  Generator dropout(7);
  const std::vector<Variable> parameters = by_hand->trained_parameters();
  std::vector<Adam> moments(parameters.size());
  int clipped = 0;
  for (int64_t step = 0; step < 6; ++step) {
    CAPTURE(step);
    const Reconstruction both = by_hand->reconstruct(features.gather(sampler.next()), dropout);
    const double share = std::min(0.6 * static_cast<double>(step) / 3, 0.6);
    const Variable loss = hard_mining_cosine_loss(both, share, 0.3);
    for (const Variable& parameter : parameters) parameter.zero_grad();
    loss.backward();
    const double norm = norm_of_gradients(parameters);
    const double scale = std::min(1.0, clip / (norm + 1e-6));
    for (size_t i = 0; i < parameters.size(); ++i) {
      moments[i].step(parameters[i], learning_rate(step), scale, step + 1);
    }
    clipped += scale < 1;

    CHECK_FALSE(trainer.done());
    const TrainingStep took = trainer.step();
    CHECK(took.iteration == step);
    CHECK(took.loss == doctest::Approx(loss.item()).epsilon(1e-10));
    CHECK(took.learning_rate == doctest::Approx(learning_rate(step)).epsilon(1e-14));
    CHECK(took.grad_norm == doctest::Approx(norm).epsilon(1e-9));  // before clipping
    const std::vector<Variable> trained = model->trained_parameters();
    for (size_t i = 0; i < trained.size(); ++i) {
      const auto got = trained[i].value().to_vector<double>(),
                 expected = parameters[i].value().to_vector<double>();
      double largest = 0;
      for (size_t j = 0; j < got.size(); ++j) largest = std::max(largest, std::abs(got[j] - expected[j]));
      CHECK(largest < 1e-9);
    }
  }
  CHECK(trainer.done());
  CHECK(clipped > 0);
}

namespace {

std::unique_ptr<Dinomaly> second_model(double factor) {
  SmallDetector detector(Preset::dinomaly2);
  Config config = detector.model->config();
  config.iterations = 30, config.batch = 2, config.warmup_steps = 1, config.bottleneck_lr_factor = factor;
  config.init_std = 0.3, config.init_cut = 1;
  auto model = std::make_unique<Dinomaly>(detector.encoder.config, config);
  load_encoder_weights(model->encoder(), detector.encoder, "small encoder");
  model->to(Dtype::f64);
  return model;
}

std::map<std::string, std::vector<double>> trained_values(const Dinomaly& model) {
  std::map<std::string, std::vector<double>> values;
  for (const auto& [name, parameter] : model.named_trained_parameters())
    values[name] = parameter.value().to_vector<double>();
  return values;
}

}  // namespace

TEST_CASE("trainer: dinomaly2's first bottleneck layer has its own learning rate, and there is no AMSGrad") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 4, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto moved = [&](double factor) {
    const auto model = second_model(factor);
    FeatureStore features(*model, samples, 2);
    Trainer trainer(*model, features);
    CHECK(trainer.step().learning_rate == 0);
    const auto before = trained_values(*model);
    CHECK(trainer.step().learning_rate == 2e-3);
    for (const auto& [name, tensor] : trainer.state())
      CHECK_FALSE(name.find("max_second") != std::string::npos);
    std::map<std::string, double> distances;
    for (const auto& [name, values] : trained_values(*model)) {
      for (size_t i = 0; i < values.size(); ++i)
        distances[name] = std::max(distances[name], std::abs(values[i] - before.at(name)[i]));
    }
    return distances;
  };
  auto slow = moved(0.1), still = moved(0);
  const auto all = moved(1);
  for (const auto& [name, distance] : all) {
    CAPTURE(name);
    const bool first = name.starts_with("bottleneck.0.0.");
    CHECK(distance > 0);
    CHECK(slow[name] == doctest::Approx(first ? 0.1 * distance : distance).epsilon(1e-6));
    CHECK((still[name] == 0) == first);
  }
}

TEST_CASE(
    "trainer: a step whose gradients are not finite is skipped with dinomaly2, and is an error elsewhere") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 4, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = second_model(0.1);
  FeatureStore features(*model, samples, 2);
  Trainer trainer(*model, features);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(trainer.step().skipped);
  const Tensor weight = model->trained_parameters().back().value(), whole = weight.clone();
  const auto before = trained_values(*model);
  weight.fill(NAN);
  const TrainingStep skipped = trainer.step();
  CHECK(skipped.skipped);
  CHECK(skipped.iteration == 2);
  CHECK(one_line_with(input_error([&] { trainer.check_sound(); }), "training diverged in iteration 2"));
  weight.copy_from(whole);
  CHECK(trained_values(*model) == before);
  for (const auto& [name, tensor] : trainer.state()) {
    if (name == "optimizer.steps") CHECK(tensor.item() == 2);
  }
  CHECK_FALSE(trainer.step().skipped);
  trainer.check_sound();
  CHECK(trained_values(*model) != before);

  const auto paper = small_model_with_its_own_numbers();
  FeatureStore kept(*paper, samples, 2);
  Trainer strict(*paper, kept);
  strict.step();
  paper->trained_parameters().back().value().fill(NAN);
  CHECK(one_line_with(input_error([&] { strict.step(); }), "training diverged in iteration 1"));
}

}  // namespace dinomaly
