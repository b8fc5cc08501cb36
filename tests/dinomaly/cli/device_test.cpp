// --device as a user meets it.
#include <doctest/doctest.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/open_device.h"
#include "dinomaly/training/train_options.h"
#include "tensor/backend.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;

TEST_CASE("--device auto uses what is available and says on stderr which device that is") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string call = "predict " + (folder / "model").string() + " " +
                           (folder / "data" / "wood" / "test" / "good").string() + " --json --deterministic";
  const Outcome automatic = run_dinomaly(folder, call + " --device auto");
  REQUIRE_MESSAGE(automatic.status == 0, automatic.error);
  const bool gpu = input_error([] { backend_for(Device::cuda()); }).empty();
  CHECK_MESSAGE(automatic.error.find(gpu ? "--device auto: cuda:0\n"
                                         : "--device auto: cpu (device cuda:0: ") != std::string::npos,
                automatic.error);
  const Outcome on_cpu = run_dinomaly(folder, call + " --device cpu");
  CHECK(on_cpu.status == 0);
  CHECK(on_cpu.error.find("--device") == std::string::npos);
  if (!gpu) CHECK(on_cpu.out == automatic.out);
}

TEST_CASE("--device: a GPU that cannot be used is an error of the user") {
  CHECK(open_device("cpu") == Device::cpu());
  CHECK(one_line_with(input_error([] { open_device("cuda:999"); }), "device cuda:999: "));
  CHECK(one_line_with(input_error([] { open_device("automatic"); }), "'automatic'"));
  const TemporaryFolder folder;
  for (const char* command : {"train --device cuda:999", "train --deterministic --device tpu"}) {
    const Outcome outcome =
        run_dinomaly(folder, std::string(command) + " --out " + (folder / "out").string());
    CHECK(outcome.status == 2);
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(folder / "out"));
  }
}

TEST_CASE("--device: where there is a GPU, f64 is refused on it") {
  if (!input_error([] { backend_for(Device::cuda()); }).empty()) return skip("no GPU: f64 on one is refused");
  TrainOptions options;
  options.device_name = "cuda", options.precision = "f64";
  CHECK(one_line_with(input_error([&] { options.prepare(); }), "f64"));
}
