// Training on a GPU: the CPU's numbers, and the same whether steps are asked for one by one or recorded.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "dinomaly/training/trainer.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tensor/profiler.h"
#include "tests/backends/cuda/small_training.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

std::vector<TrainingStep> train(
    Trainer& trainer, int steps, const std::function<void()>& between = [] {}) {
  std::vector<TrainingStep> result;
  for (int i = 0; i < steps; ++i) {
    trainer.advance();
    between();
    for (const TrainingStep& step : trainer.finished(i + 1 == steps)) result.push_back(step);
  }
  REQUIRE(static_cast<int>(result.size()) == steps);
  return result;
}

void check_same_steps(const std::vector<TrainingStep>& a, const std::vector<TrainingStep>& b,
                      double tolerance) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i].iteration == b[i].iteration);
    CHECK(a[i].learning_rate == b[i].learning_rate);
    CHECK(std::abs(a[i].loss - b[i].loss) <= tolerance * std::abs(b[i].loss));
    CHECK(std::abs(a[i].grad_norm - b[i].grad_norm) <= tolerance * b[i].grad_norm);
  }
}

void check_same_state(Trainer& a, Trainer& b) {
  const NamedTensors one = a.state(), other = b.state();
  REQUIRE(one.size() == other.size());
  for (size_t i = 0; i < one.size(); ++i) {
    CAPTURE(one[i].first);
    CHECK(one[i].second.to_vector<double>() == other[i].second.to_vector<double>());
  }
}

}  // namespace

TEST_CASE("training on CUDA gives the CPU's losses and norms") {
  if (!has_cuda("training against the CPU")) return;
  for (const std::optional<int64_t> whitening : {std::optional<int64_t>(), std::optional<int64_t>(7)}) {
    CAPTURE(whitening.value_or(0));
    Training cpu(Dtype::f32, Device::cpu(), whitening), cuda(Dtype::f32, Device::cuda(), whitening);
    Trainer on_cpu(*cpu.model, *cpu.features), on_cuda(*cuda.model, *cuda.features);
    check_same_steps(train(on_cuda, 8), train(on_cpu, 8), 1e-4);
  }
}

TEST_CASE("training, also on CUDA: numbers are kept until they are requested") {
  std::vector<Device> devices{Device::cpu()};
  if (has_cuda("numbers of many steps")) devices.push_back(Device::cuda());
  for (const Device& device : devices) {
    Training training(Dtype::f32, device);
    Trainer trainer(*training.model, *training.features);
    for (int i = 0; i < 19; ++i) trainer.advance();
    const std::vector<TrainingStep> steps = trainer.finished(true);
    REQUIRE(steps.size() == 19);
    for (size_t i = 0; i < steps.size(); ++i) {
      CHECK(steps[i].iteration == static_cast<int64_t>(i));
      CHECK(steps[i].loss > 0);
      CHECK(steps[i].grad_norm > 0);
    }
    CHECK(trainer.finished(true).empty());
    CHECK(trainer.step().iteration == 19);
  }
}

TEST_CASE("recorded steps on CUDA are those asked for one by one, to the bit") {
  if (!has_cuda("recorded steps")) return;
  for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    Training a(dtype, Device::cuda()), b(dtype, Device::cuda());
    Trainer eager(*a.model, *a.features, false), recorded(*b.model, *b.features);
    // What others take and give back in between must not be the recording's memory.
    std::vector<Tensor> others;
    const auto work_between = [&] {
      if (others.size() > 60) others.resize(20);
      for (int64_t size : {1, 33, 96, 144, 48 * 32, 48 * 64, 48 * 96, 32 * 32, 32 * 96, 64 * 32}) {
        for (Dtype of : {Dtype::f32, Dtype::bf16}) {
          others.push_back(Tensor::full({size}, 7, of, Device::cuda()));
        }
      }
    };
    check_same_steps(train(recorded, 9, work_between), train(eager, 9), 0);
    for (const Tensor& other : others) {
      CHECK(other.to_vector<float>() == std::vector<float>(static_cast<size_t>(other.numel()), 7));
    }
    check_same_state(recorded, eager);

    // Another trainer continues from there, and records again.
    std::map<std::string, Tensor> state;
    for (const auto& [name, tensor] : recorded.state()) state[name] = tensor.clone();
    Training c(dtype, Device::cuda());
    Trainer resumed(*c.model, *c.features);
    train(resumed, 3);
    resumed.load_state(state, "test");
    check_same_steps(train(resumed, 4), train(eager, 4), 0);
    check_same_state(resumed, eager);
  }
}

TEST_CASE("recorded steps on CUDA: a profiler sees their kernels, and changes no bit") {
  if (!has_cuda("a profiler of recorded steps")) return;
  Training a(Dtype::f32, Device::cuda()), b(Dtype::f32, Device::cuda());
  Trainer eager(*a.model, *a.features, false), recorded(*b.model, *b.features);
  std::vector<TrainingStep> steps = train(recorded, 5);
  const auto add = [&](const std::vector<TrainingStep>& more) {
    steps.insert(steps.end(), more.begin(), more.end());
  };
  {
    const Profiler profiler;
    add(train(recorded, 2));
    std::set<std::string> seen;
    for (const KernelCost& cost : profiler.costs()) seen.insert(cost.name);
    for (const char* kernel : {"matmul", "linear_attention_backward", "stable_adamw"})
      CHECK_MESSAGE(seen.contains(kernel), kernel);
  }
  add(train(recorded, 5));
  check_same_steps(steps, train(eager, 12), 0);
  check_same_state(recorded, eager);
}

TEST_CASE("recorded work on CUDA: an error in it leaves the device usable; its memory goes back in the end") {
  if (!has_cuda("recorded work")) return;
  Kernels& kernels = kernels_for(Device::cuda());
  const Tensor x = Tensor::full({100}, 2, Dtype::f32, Device::cuda());
  CHECK_THROWS_AS(kernels.record([&] { (x * 2.0).item(); }), Error);
  CHECK_THROWS_WITH_AS(kernels.record([&] { x.copy_from(Tensor::ones({100})); }),
                       "copy: recorded work takes nothing from the host", Error);
  CHECK((x * 2.0).to_vector<float>() == std::vector<float>(100, 4));
  const size_t live = kernels.allocator().counters().live_bytes;
  {
    Tensor y;
    const auto recording = kernels.record([&] { y = x * 3.0 + 1.0; });
    for (float value : {1.0f, -2.0f}) {
      x.fill(value);
      recording->replay(0);
      CHECK(y.to_vector<float>() == std::vector<float>(100, value * 3 + 1));
    }
  }
  CHECK(kernels.allocator().counters().live_bytes == live);
}

}  // namespace dinomaly
