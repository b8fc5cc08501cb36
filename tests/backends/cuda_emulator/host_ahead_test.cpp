// What the host does while a GPU trains: hand out work, and wait for none of it.
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include "autograd/ops/ops.h"
#include "dinomaly/training/trainer.h"
#include "tensor/tensor.h"
#include "tests/backends/cuda/small_training.h"

namespace dinomaly {

TEST_CASE("recorded steps on emulated CUDA copy nothing from the host and wait for nothing") {
  Training training(Dtype::f32, Device::cuda());
  Trainer trainer(*training.model, *training.features);
  for (int i = 0; i < 4; ++i) trainer.advance();
  const emulator::Calls before = emulator::calls();
  for (int i = 0; i < 8; ++i) trainer.advance();
  const emulator::Calls after = emulator::calls();
  CHECK(after.uploads == before.uploads);  // the step's numbers are arguments of kernels
  CHECK(after.waits == before.waits);
  CHECK(trainer.finished(true).size() == 12);
}

// Int8 features stay in the host's memory. What follows is on its way before the step that comes first is done.
TEST_CASE("recorded steps on emulated CUDA wait for none of the steps before to send features of the host") {
  FeatureOptions in_memory;
  in_memory.dtype = FeatureDtype::int8;
  Training training(Dtype::f32, Device::cuda(), {}, in_memory);
  REQUIRE(training.features->place() == "in memory");
  Trainer trainer(*training.model, *training.features);
  for (int i = 0; i < 4; ++i) trainer.step();
  const emulator::Calls before = emulator::calls();
  for (int i = 0; i < 2; ++i) trainer.advance();
  const emulator::Calls after = emulator::calls();
  CHECK(after.uploads - before.uploads > 4);
  CHECK(after.waits == before.waits);
  CHECK(cudaGetLastError() == cudaSuccess);       // which CUB's kernels would take for theirs
  for (int i = 0; i < 8; ++i) trainer.advance();  // more than there are buffers
  CHECK(emulator::calls().waits > after.waits);
  CHECK(trainer.finished(true).size() == 10);
}

TEST_CASE(
    "emulated CUDA: the loss of sixteen images takes more blocks than a large GPU has multiprocessors") {
  const Tensor a = Tensor::ones({16, 10 * 8192}, Dtype::f32, Device::cuda());
  Variable b(Tensor::full({16, 10 * 8192}, 2, Dtype::f32, Device::cuda()), true);
  int64_t before = emulator::calls().blocks;
  const Variable cosine = cosine_similarity(Variable(a), b);
  CHECK(emulator::calls().blocks - before >= 132);
  before = emulator::calls().blocks;
  mean(cosine).backward();
  CHECK(emulator::calls().blocks - before >= 2 * 132);
  CHECK(cosine.value().to_vector<float>() == std::vector<float>(16, 1));
}

}  // namespace dinomaly
