// Every command sends every image through the encoder once, whatever is made of its prediction.
#include <CLI/CLI.hpp>

#include "dinomaly/cli/commands.h"
#include "tensor/profiler.h"
#include "tests/dinomaly/cli/train_command.h"

namespace dinomaly {
namespace {

// Calls of softmax attention, which the encoder alone has, while a command runs in this process.
int64_t attention_calls(void (*add)(CLI::App&, Work&), const std::string& command) {
  CLI::App app;
  Work work;
  add(app, work);
  app.parse(command + " --threads 1");
  const Profiler profiler;
  REQUIRE(work.first() == 0);
  int64_t calls = 0;
  for (const KernelCost& cost : profiler.costs()) {
    if (cost.name == "attention" || cost.name == "packed_attention") calls += cost.calls;
  }
  return calls;
}

}  // namespace

TEST_CASE("a command encodes every image once, whatever is made of its prediction") {
  constexpr int64_t test_images = 2 * (2 + 5), training_images = 12;
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const auto model = small_model();
  save_model(folder / "model", *model, model->encoder().config());
  const auto path = [&](const char* name) { return (folder / name).string(); };
  const std::string one_by_one = path("model") + " " + path("data") + " --batch 1 ";
  const int64_t one = attention_calls(
      add_predict, "predict " + path("model") + " " + path("data/wood/test/good/000.png") + " --batch 1");
  REQUIRE(one > 0);

  CHECK(attention_calls(add_predict, "predict " + path("model") + " " + path("data/wood/test") +
                                         " --batch 1 --json --map-format npy --out " + path("out")) ==
        one * test_images / 2);
  CHECK(attention_calls(add_calibrate, "calibrate " + one_by_one + "--method f1") == one * test_images);
  CHECK(attention_calls(add_eval, "eval " + one_by_one) == one * test_images);
  for (const char* protocol : {"paper", "official"}) {
    CHECK(attention_calls(add_eval, "eval " + one_by_one + "--export-maps " + path("maps") + " --protocol " +
                                        protocol) == one * test_images);
  }
  CHECK(attention_calls(add_report, "report " + one_by_one + "--out " + path("page.html")) ==
        one * test_images);
  for (const char* method : {"good", "f1", "none"}) {
    CHECK(attention_calls(add_train, fmt::format("train {0}/data --encoder {0}/encoder.safetensors --heads 2 "
                                                 "--resize 56 --crop 56 --set map_size=32 --iterations 12 "
                                                 "--batch 1 --calibrate {1} --out {0}/{1}",
                                                 folder.path().string(), method)) ==
          one * (test_images + training_images));
  }
}

}  // namespace dinomaly
