// The whitening of a model from a store of training images.
#include "dinomaly/training/fit_whitening.h"

#include <doctest/doctest.h>

#include <cmath>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/synthetic/procedural.h"
#include "tensor/ops.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::unique_ptr<Dinomaly> model_to_whiten() {
  const SmallDetector detector(Preset::paper);
  Config config = detector.model->config();
  config.feature_whitening = 6, config.whitening_shrinkage = 1e-4;
  auto model = std::make_unique<Dinomaly>(detector.encoder.config, config);
  load_encoder_weights(model->encoder(), detector.encoder, "small encoder");
  return model;
}

// rows (N, 8): their mean is 0, and the variances of all directions add up to 6.
void check_white(const Tensor& part) {
  const Tensor rows = part.to(Dtype::f64).reshape({-1, 8});
  const double count = static_cast<double>(rows.size(0));
  for (const double mean : (reduce(Reduce::sum, rows, {0}) * (1 / count)).to_vector<double>())
    CHECK(std::abs(mean) < 1e-3);
  const double variance = reduce(Reduce::sum, rows * rows).to_vector<double>()[0] / count;
  CHECK(variance == doctest::Approx(6).epsilon(0.05));
}

}  // namespace

TEST_CASE("fitting a whitening: all that training gets of the training images is white then") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 5, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = model_to_whiten();
  FeatureStore store(*model, samples, 2);
  const auto before = store.gather_raw({3, 0}).encoded[0].to_vector<float>();
  fit_whitening(*model, store);
  CHECK(store.is_complete());
  const Features all = store.gather({0, 1, 2, 3, 4});
  check_white(all.bottleneck_input);
  check_white(all.encoded[0]);
  check_white(all.encoded[1]);
  CHECK(store.gather_raw({3, 0}).encoded[0].to_vector<float>() == before);  // kept as they were

  // In another order, and other batches.
  const auto other = model_to_whiten();
  FeatureStore reversed(*other, samples, 3);
  reversed.expect({4, 2, 0});
  fit_whitening(*other, reversed);
  CHECK(same_weights(*model, *other));
}

TEST_CASE("fitting a whitening: of varied images, and of none") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 5, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  const auto model = model_to_whiten();
  FeatureStore varied(*model, samples, 2, {.augment = true});
  fit_whitening(*model, varied);
  const Features first = varied.gather({0, 1, 2, 3, 4}, 0);  // as the fit saw them
  check_white(first.bottleneck_input);
  check_white(first.encoded[1]);
  FeatureStore none(*model, {}, 2);
  CHECK(one_line_with(input_error([&] { fit_whitening(*model, none); }), "only 0 tokens"));
  const SmallDetector plain(Preset::paper);
  FeatureStore store(*plain.model, samples, 2);
  fit_whitening(*plain.model, store);
  CHECK(store.computed() == 0);
}

}  // namespace dinomaly
