// dinomaly convert IN OUT: an encoder's weights under other names (--names), or a trained model in 8 bits (--precision int8).
#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/training/quantize_trained.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {

struct ConvertFlags {
  std::filesystem::path in, out;
  std::string names, precision, data;
  std::vector<std::string> categories;
  int64_t heads = 0;
};

int convert_encoder(const ConvertFlags& flags) {
  const Naming naming = parse_naming(flags.names);
  CommandFiles files;
  files.reads_weights(flags.in);
  files.writes("OUT", flags.out);
  const EncoderWeights weights = load_encoder(load_weights_file(flags.in), heads_or_any(flags.heads));
  const NamedTensors named = named_as(weights, naming);
  const std::string choice = describe_choice(weights, flags.in.string());
  if (!choice.empty()) fmt::print("{}\n", choice);
  if (drops_periods(weights, naming)) {
    fmt::print(
        "{}: its rotary periods are not those that {} computes, whose files have no place for them: "
        "features will differ by about 5e-4\n",
        flags.in.string(), flags.names);
  }
  save_safetensors(flags.out, named, {{"format", "pt"}});
  fmt::print("{}: {} with the names of {}\n", flags.out.string(),
             counted(static_cast<int64_t>(named.size()), "tensor"), flags.names);
  return 0;
}

int convert_detector(const ConvertFlags& flags) {
  check_input(flags.precision == "int8", "--precision: '{}' is not int8", flags.precision);
  check_input(!flags.data.empty(),
              "--precision int8: --data is missing, images of good parts to find the scales with");
  const Dataset dataset = read_dataset(flags.data, flags.categories);
  CommandFiles files;
  files.reads_weights(flags.in);
  files.reads_data(flags.data, dataset);
  files.writes("OUT", flags.out);
  const Detector detector = load_detector(flags.in, std::nullopt, flags.heads);
  check_input(!is_quantized(*detector.model), "{}: its weights are int8 already", flags.in.string());
  quantize_trained(*detector.model, training_samples(dataset));
  save_model(flags.out, *detector.model, detector.model->encoder().config(),
             {.training_images = detector.training_images});
  fmt::print("{}: int8{}\n", flags.out.string(),
             detector.calibration ? ", without thresholds: find its own with calibrate" : "");
  return 0;
}

int convert(const ConvertFlags& flags) {
  check_input(flags.names.empty() != flags.precision.empty(),
              "either --names (an encoder under other names) or --precision (a trained model in 8 bits)");
  check_input(flags.names.empty() || flags.data.empty(),
              "--data: belongs to --precision; under other names weights stay as they are");
  check_input(
      flags.names.empty() || flags.categories.empty(),
      "--categories: belongs to --precision and its --data; under other names weights stay as they are");
  const std::string extension = flags.out.extension().string();
  check_input(extension != ".pth" && extension != ".pt" && extension != ".ckpt",
              "{}: only safetensors files are written, not pickles; name it NAME.safetensors",
              flags.out.string());
  check_input(flags.heads >= 0, "--heads: {} is negative", flags.heads);
  return flags.names.empty() ? convert_detector(flags) : convert_encoder(flags);
}

}  // namespace

void add_convert(CLI::App& app, Work& work) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command = app.add_subcommand(
      "convert", "write an encoder under another library's names, or a trained model in 8 bits");
  command->footer(
      "Examples:\n"
      "  dinomaly convert dinov2_vitb14_reg4_pretrain.pth vitb14.safetensors --names timm\n"
      "  dinomaly convert model.safetensors small.safetensors --precision int8 --data mvtec");
  take_encoder_names(
      *command,
      command
          ->add_option("IN", flags->in,
                       "a file with an encoder (or its name) or, with --precision, a trained model: "
                       "safetensors (also sharded), .pth, .ckpt")
          ->required());
  command->add_option("OUT", flags->out, "the safetensors file to write")->required();
  command->add_option("--names", flags->names, "meta, timm or transformers");
  command->add_option("--precision", flags->precision,
                      "int8: weights of one byte, and products of integers: about a quarter of the size");
  command->add_option(
      "--data", flags->data,
      "with --precision: a data set, as for train, whose training images the scales are found with");
  command->add_option("--categories", flags->categories, "a,b: the categories of --data (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option(
      "--heads", flags->heads,
      "attention heads, if IN does not say it: DINOv3's periods follow from them (width / 64)");
  command->callback([flags, &work] { work.first = [flags] { return convert(*flags); }; });
}

}  // namespace dinomaly
