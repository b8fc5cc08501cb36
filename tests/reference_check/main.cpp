// Checks this project against reference bundles: reference_check [--dtype f64|f32|bf16] [--device
// cpu|cuda|cuda:N|auto] FILE... One line a tensor group, "NAME max relative error E tolerance T ok|FAIL".
// Exit status 0: all ok; 1: any FAIL, also where
// nothing was compared; 2: a file it cannot read or a wrong flag.
#include <CLI/CLI.hpp>

#include "bundle.h"
#include "dinomaly/base/program.h"
#include "dinomaly/cli/device_flag.h"
#include "dinomaly/cli/parse_flags.h"

namespace dinomaly {
namespace {

bool check_file(const std::string& path, const CheckOptions& options) {
  const SafeTensors bundle = SafeTensors::load(path);
  const auto found = bundle.metadata().find("config");
  check_input(found != bundle.metadata().end(), "{}: no reference bundle: the metadata has no 'config'",
              path);
  Verdict verdict(options.dtype);
  try {
    const auto config = nlohmann::json::parse(found->second);
    const std::string kind = config.at("kind").get<std::string>();
    if (kind == "model")
      check_model_bundle(bundle, config, options, verdict);
    else if (kind == "images")
      check_images_bundle(bundle, config, verdict);
    else if (kind == "metrics")
      check_metrics_bundle(bundle, verdict);
    else
      fail_input("{}: unknown kind of bundle '{}'", path, kind);
  } catch (const nlohmann::json::exception& error) {
    fail_input("{}: the metadata's 'config' is not as expected: {}", path, error.what());
  }
  fmt::print("{}\n{}", path, verdict.text());
  return verdict.ok();
}

int run(int argc, char** argv) {
  CLI::App app{"Compare this project's numbers with reference bundles"};
  std::vector<std::string> files;
  std::string dtype = "f64", device = "cpu";
  app.add_option("files", files, "reference bundles (safetensors)")->required();
  app.add_option("--dtype", dtype, "f64, f32 or bf16");
  add_device_flags(app, device);
  if (!parse_flags(app, argc, argv)) return 0;
  const CheckOptions options{parse_dtype(dtype), open_device(device)};
  check_input(is_floating(options.dtype), "--dtype: '{}' is not one of f64, f32, bf16", dtype);
  check_input(options.device.is_cpu() || options.dtype != Dtype::f64,
              "--dtype: f64 is computed on the CPU only; a GPU takes f32 or bf16");
  bool all_ok = true;
  for (const std::string& file : files) all_ok = check_file(file, options) && all_ok;
  return all_ok ? 0 : 1;
}

}  // namespace
}  // namespace dinomaly

int main(int argc, char** argv) {
  return dinomaly::run_program("reference_check", [&] { return dinomaly::run(argc, argv); });
}
