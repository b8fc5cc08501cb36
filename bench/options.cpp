#include "bench/options.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "dinomaly/cli/device_flag.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/cli/parse_flags.h"
#include "tensor/threads.h"

namespace dinomaly {

constexpr const char* architectures =
    "small, base, large, dinov3-small, dinov3-small-plus, dinov3-base, dinov3-large";

EncoderConfig encoder_config(const std::string& arch) {
  constexpr std::string_view third = "dinov3-", plus = "-plus";
  EncoderConfig config;
  config.rotary = arch.starts_with(third);
  std::string_view size = arch;
  if (config.rotary) size.remove_prefix(third.size());
  const bool gated = config.rotary && size == "small-plus";
  if (gated) size.remove_suffix(plus.size());
  if (size == "small")
    config.width = 384, config.heads = 6, config.depth = 12;
  else if (size == "base")
    config.width = 768, config.heads = 12, config.depth = 12;
  else if (size == "large")
    config.width = 1024, config.heads = 16, config.depth = 24;
  else
    fail_input("--arch: '{}' is not one of {}", arch, architectures);
  config.registers = 4;
  if (config.rotary) {
    config.patch = 16, config.norm_eps = 1e-5, config.cls_in_position_table = false;
    if (gated) config.ffn = EncoderConfig::Ffn::swiglu_fused;
  } else {
    config.patch = 14, config.grid_h = config.grid_w = 37;
  }
  config.hidden = 4 * config.width;
  config.layer_scale = true;
  return config;
}

nlohmann::json BenchOptions::to_json() const {
  return {{"work", train ? "train" : "infer"},
          {"arch", arch},
          {"size", size},
          {"batch", batch},
          {"precision", int8 ? "int8" : name_of(precision)},
          {"device", device.to_string()},
          {"threads", threads},
          {"repeat", repeat},
          {"seed", seed},
          {"kept_features", kept_features},
          {"weights", weights ? weights->string() : "random"}};
}

std::optional<BenchOptions> parse_bench_options(int argc, char** argv) {
  CLI::App app{"Times Dinomaly with random weights: images to maps and scores, or one training step"};
  BenchOptions options;
  std::string work, precision = "f32", device = "cpu";
  app.footer("Example: bench_dinomaly infer --arch base --batch 1 --threads 2 --repeat 10");
  app.add_option("WORK", work, "infer or train")->required();
  app.add_option("--arch", options.arch, architectures)->capture_default_str();
  app.add_option("--size", options.size,
                 "pixels per side, a multiple of the patch (28 patches: 392; DINOv3 448)");
  app.add_option("--batch", options.batch, "images")->capture_default_str()->check(from_to(1, 4096));
  app.add_option("--precision", precision, "f32, bf16, or to infer int8")->capture_default_str();
  add_device_flags(app, device);
  app.add_option("--threads", options.threads, "0: one per processor")->check(from_to(0, 1024));
  app.add_option("--repeat", options.repeat, "measured repetitions, after one warm-up")
      ->capture_default_str()
      ->check(from_to(1, 1000000));
  app.add_option("--seed", options.seed, "seed of weights and images")->capture_default_str();
  app.add_flag("--kept-features", options.kept_features, "train: run the encoder once, before the clock");
  app.add_option("--weights", options.weights, "a file of --save-weights instead of random weights");
  app.add_option("--save-weights", options.save_weights,
                 "write weights, images and what f32 computes from them (safetensors)");
  app.add_flag("--profile", options.profile, "one more repetition, with each kernel's cost on stderr");
  app.add_flag("--serve", options.serve,
               "answer each line 'run' on stdin with one repetition and one line of JSON");
  if (!parse_flags(app, argc, argv)) return std::nullopt;
  check_input(work == "infer" || work == "train", "WORK: '{}' is not one of infer, train", work);
  options.train = work == "train";
  check_input(options.train || !options.kept_features, "--kept-features: only training can keep features");
  const int64_t patch = encoder_config(options.arch).patch;
  if (options.size == 0) options.size = 28 * patch;
  check_input(options.size >= patch && options.size <= 4102 && options.size % patch == 0,
              "--size: {} is not a multiple of {} in [{}, 4102]", options.size, patch, patch);
  options.int8 = precision == "int8";
  check_input(options.int8 || precision == "f32" || precision == "bf16",
              "--precision: '{}' is not one of f32, bf16, int8", precision);
  check_input(!options.int8 || !options.train, "--precision: int8 is for inference");
  if (!options.int8) options.precision = parse_dtype(precision);
  options.device = open_device(device);
  if (options.threads > 0) nabla::set_num_threads(options.threads);
  options.threads = nabla::num_threads();
  return options;
}

}  // namespace dinomaly
