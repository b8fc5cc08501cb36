// Tensors on GPUs, sent by NCCL: what arrives, and that nothing is touched early.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/model/whitening.h"
#include "dinomaly/synthetic/procedural.h"
#include "dinomaly/training/trainer.h"
#include "tensor/communicator.h"
#include "tensor/ops.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

const Device gpu = Device::cuda();

Tensor filled(const Shape& shape, double value, Dtype dtype = Dtype::f32) {
  return Tensor::full(shape, value, dtype).to(gpu);
}

Communicator& prepared() {
  communicator().prepare(gpu);
  return communicator();
}

}  // namespace

TEST_CASE("NCCL: sums of what was computed before, seen by what is computed after") {
  Communicator& all = prepared();
  const double ranks = all.size() * (all.size() - 1) / 2.0;
  const Tensor x = filled({1000}, all.rank()), y = filled({7}, 2.0 * all.rank());
  const Tensor of_x = x + x;  // not computed yet
  const auto pending = all.begin_all_reduce(of_x);
  const Tensor meanwhile = y + y;
  const auto more = all.begin_all_reduce(meanwhile);
  CHECK(!pending->progress());
  pending->wait();
  more->wait();
  CHECK((of_x + of_x).to_vector<double>() == std::vector<double>(1000, 4 * ranks));
  CHECK(meanwhile.to_vector<double>() == std::vector<double>(7, 4 * ranks));
  CHECK(more->progress());
}

TEST_CASE("NCCL: rows of all processes, of which some have none") {
  Communicator& all = prepared();
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Tensor rows = all.all_gather(filled({all.rank(), 2}, all.rank(), dtype));
    std::vector<double> expected;
    for (int rank = 0; rank < all.size(); ++rank)
      expected.insert(expected.end(), static_cast<size_t>(2 * rank), rank);
    CHECK(rows.device() == gpu);
    CHECK(rows.to_vector<double>() == expected);
  }
}

TEST_CASE(
    "NCCL: a tensor of the last process, everywhere; tensors for the next one, on GPU and CPU, in their "
    "order") {
  Communicator& all = prepared();
  const Tensor x = filled({5}, all.rank());
  all.broadcast(x, all.size() - 1);
  CHECK(x.to_vector<double>() == std::vector<double>(5, all.size() - 1));
  const int next = (all.rank() + 1) % all.size(), before = (all.rank() + all.size() - 1) % all.size();
  const std::vector<Tensor> got{Tensor::empty({4}, Dtype::f32, gpu), Tensor::empty({2}),
                                Tensor::empty({3}, Dtype::bf16, gpu)};
  all.exchange({{next, filled({4}, all.rank())},
                {next, Tensor::full({2}, all.rank())},
                {next, filled({3}, 100 + all.rank(), Dtype::bf16)}},
               {{before, got[0]}, {before, got[1]}, {before, got[2]}});
  CHECK(got[0].to_vector<double>() == std::vector<double>(4, before));
  CHECK(got[1].to_vector<double>() == std::vector<double>(2, before));
  CHECK(got[2].to_vector<double>() == std::vector<double>(3, 100 + before));
}

TEST_CASE("NCCL: several processes train on GPUs, whitening and all, as one does, to the rounding of sums") {
  const TemporaryFolder folder;
  make_dataset(folder / "set", {.size = 64, .train = 7, .good = 1, .per_defect = 1, .categories = {"wood"}});
  const std::vector<Sample> samples = read_mvtec(folder / "set").categories[0].train;
  std::vector<std::vector<double>> losses, weights;
  for (Communicator* processes : {&single_process(), &communicator()}) {
    const SmallDetector detector(Preset::paper);
    Config config = detector.model->config();
    config.iterations = 5, config.batch = 5, config.seed = 7, config.warmup_steps = 2,
    config.feature_whitening = 6;
    Dinomaly model(detector.encoder.config, config);
    load_encoder_weights(model.encoder(), detector.encoder, "small encoder");
    model.to(gpu);
    FeatureStore features(model, samples, 2);
    Trainer trainer(model, features, true, *processes);
    trainer.fit_whitening();
    std::vector<double>&of_steps = losses.emplace_back(), &values = weights.emplace_back();
    while (!trainer.done()) of_steps.push_back(trainer.step().loss);
    for (const auto& [name, parameter] : model.named_trained_parameters()) {
      for (const double weight : parameter.value().to_vector<double>()) values.push_back(weight);
    }
  }
  for (size_t i = 0; i < losses[0].size(); ++i)
    CHECK(losses[1][i] == doctest::Approx(losses[0][i]).epsilon(1e-4));
  REQUIRE(weights[0].size() == weights[1].size());
  double worst = 0;
  for (size_t i = 0; i < weights[0].size(); ++i)
    worst = std::max(worst, std::abs(weights[0][i] - weights[1][i]));
  CHECK(worst < 2e-3);
  const Tensor first = Tensor::from(weights[1], {static_cast<int64_t>(weights[1].size())});
  communicator().broadcast(first, 0);
  CHECK(first.to_vector<double>() == weights[1]);
}

}  // namespace dinomaly
