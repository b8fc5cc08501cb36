// A GPU that fails: at each call of a step in turn, and under the program. From that call on the runtime answers every call
// with the fault, as the real one does.
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "autograd/ops/ops.h"
#include "dinomaly/training/trainer.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tests/backends/cuda/small_training.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

using Ops = std::set<std::string>;

// Runs `work` with a fault at its first call, then with one at its second, and so on until it ends without meeting one.
// Each time it must end in an Error of one line. Returns the ops that these name. `tidy` goes before each time.
Ops fail_at_every_call(
    const std::function<void()>& work, const std::function<void()>& tidy = [] {}) {
  const std::string what =
      ": CUDA: an illegal memory access was encountered (cudaErrorIllegalAddress); a GPU reports faults "
      "late, so the "
      "cause may be an earlier op: CUDA_LAUNCH_BLOCKING=1 names it";
  Ops ops;
  for (int64_t number = 1;; ++number) {
    CAPTURE(number);
    // The same calls each time, whatever the last fault has left in memory.
    tidy();
    kernels_for(Device::cuda()).trim();
    const int64_t before = emulator::calls().all;
    emulator::fail_from(number);
    std::string said;
    try {
      work();
    } catch (const Error& error) {
      said = error.what();
    }
    const bool met = emulator::calls().all >= before + number;
    emulator::repair();
    if (!met) return ops;
    CHECK_MESSAGE(one_line_with(said, what), "said: ", said);
    ops.insert(said.substr(0, said.find(':')));
  }
}

// A layer, its gradient and the optimizer's step, recorded and replayed.
struct RecordedLayer {
  const Variable weight = Variable(Tensor::ones({8, 8}, Dtype::f32, Device::cuda()), true);
  const Tensor x = Tensor::ones({4, 8}, Dtype::f32, Device::cuda());
  StableAdamW optimizer{std::vector<Variable>{weight}, StableAdamWOptions{}};

  void step() {
    optimizer.zero_grad();
    mean(gelu(matmul(Variable(x), weight))).backward();
    optimizer.update(norm_and_clip_factor({weight}, 1).slice(0, 1, 2));
  }
  // Synchronizes last, as a destructor says nothing of a fault.
  void record_and_replay() {
    optimizer.prepare(1e-3);
    auto recording = kernels_for(Device::cuda()).record([&] { step(); });
    recording->replay(0);
    weight.value().to(Device::cpu());
    recording.reset();
    kernels_for(Device::cuda()).synchronize();
  }
};

}  // namespace

TEST_CASE("emulated CUDA: a fault at any call of a training step ends in an error that names an op") {
  Training training(Dtype::f32, Device::cuda());
  CachingAllocator& allocator = kernels_for(Device::cuda()).allocator();
  const size_t live = allocator.counters().live_bytes;
  {
    Trainer trainer(*training.model, *training.features, false);
    trainer.step();
    const int64_t selected = emulator::calls().selects;
    trainer.step();
    CHECK(emulator::calls().selects == selected);  // one GPU stays the current one
    const auto forget_gradients = [&] {
      for (const Variable& parameter : training.model->trained_parameters()) parameter.zero_grad();
    };
    const Ops ops = fail_at_every_call([&] { trainer.step(); }, forget_gradients);
    for (const std::string op :
         {"allocate", "copy", "matmul", "unary", "linear_attention", "linear_attention_backward",
          "layer_norm_backward", "kth_largest", "stable_adamw", "clip_factor"}) {
      CHECK_MESSAGE(ops.contains(op), op);
    }
    CHECK_FALSE(ops.contains("cuda"));
  }
  Trainer(*training.model, *training.features, false)
      .step();  // with the weights as the last good step left them
  for (const Variable& parameter : training.model->trained_parameters()) parameter.zero_grad();
  CHECK(allocator.counters().live_bytes == live);
}

TEST_CASE(
    "recorded work on emulated CUDA: a fault at any call of recording and replay leaves nothing behind") {
  RecordedLayer layer;
  layer.optimizer.prepare(1e-3);
  layer.step();
  CachingAllocator& allocator = kernels_for(Device::cuda()).allocator();
  layer.weight.zero_grad();
  const int64_t graphs = emulator::graphs();
  const Ops ops = fail_at_every_call([&] { layer.record_and_replay(); }, [&] { layer.weight.zero_grad(); });
  for (const std::string op : {"record", "replay", "matmul", "stable_adamw", "copy", "synchronize"})
    CHECK_MESSAGE(ops.contains(op), op);
  CHECK(emulator::graphs() == graphs);
  layer.weight.zero_grad();
  kernels_for(Device::cuda()).trim();
  CHECK(allocator.counters().cached_bytes == 0);  // no reserve holds memory back
  layer.record_and_replay();
}

TEST_CASE("recorded steps on emulated CUDA: where their memory is lacking they go on without a recording") {
  Training a(Dtype::f32, Device::cuda()), b(Dtype::f32, Device::cuda());
  Trainer eager(*a.model, *a.features, false), recorded(*b.model, *b.features);
  emulator::lack_memory_in_capture(true);
  const int64_t graphs = emulator::graphs();
  for (int i = 0; i < 6; ++i) {
    const TrainingStep expected = eager.step(), step = recorded.step();
    CHECK(step.loss == expected.loss);
    CHECK(step.grad_norm == expected.grad_norm);
  }
  emulator::lack_memory_in_capture(false);
  CHECK(emulator::graphs() == graphs);
}

TEST_CASE("recorded work on emulated CUDA: nothing is recorded where each kernel is waited for") {
  setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
  const auto recording = kernels_for(Device::cuda()).record([] { FAIL("recorded"); });
  unsetenv("CUDA_LAUNCH_BLOCKING");
  CHECK(recording == nullptr);
}

TEST_CASE("emulated CUDA: a fault ends the program with status 3, one line, and whole files") {
  const std::string program = DINOMALY_BINARY_DIR "/bin/dinomaly_emulated";
  if (!std::filesystem::exists(program)) return skip("no program beside this test: a fault under it");
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--device cuda --iterations 6 --checkpoint-every 2";
  const auto run = [&](const std::string& fault, const std::string& more = "") {
    const std::string out = (folder / "stdout").string(), error = (folder / "stderr").string();
    const std::string command =
        fault + " OMP_NUM_THREADS=1 " + program + " " + flags + more + " >" + out + " 2>" + error;
    const int status = std::system(command.c_str());
    return Outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out, 1 << 20),
                   read_file(error, 1 << 20)};
  };
  for (const int call : {100, 2000, 6000, 10000}) {
    CAPTURE(call);
    const Outcome outcome = run(fmt::format("DINOMALY_EMULATED_FAULT={}", call), " --resume");
    CHECK(outcome.status == 3);
    CHECK_MESSAGE(contains(outcome.error, "CUDA_LAUNCH_BLOCKING=1"), outcome.error);
    CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1, outcome.error);
    CHECK(temporaries_below(folder / "out").empty());
    CHECK_FALSE(std::filesystem::exists(folder / "out/model.safetensors"));
  }
  const Outcome whole = run("", " --resume");
  CHECK_MESSAGE(whole.status == 0, whole.error);
}

}  // namespace dinomaly
