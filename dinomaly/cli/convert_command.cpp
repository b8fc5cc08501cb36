// dinomaly convert IN OUT --names meta|timm|transformers: an encoder's weights under other names.
#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

void add_convert(CLI::App& app, Work& work) {
  struct Options {
    std::filesystem::path in, out;
    std::string names;
    int64_t heads = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("convert", "write an encoder's weights under another library's names");
  command->footer(
      "Example: dinomaly convert dinov2_vitb14_reg4_pretrain.pth vitb14.safetensors --names timm");
  command->add_option("IN", options->in, "any file with an encoder: safetensors (also sharded), .pth, .ckpt")
      ->required();
  command->add_option("OUT", options->out, "the safetensors file to write")->required();
  command->add_option("--names", options->names, "meta, timm or transformers")->required();
  command->add_option(
      "--heads", options->heads,
      "attention heads, if IN does not say it: DINOv3's periods follow from them (width / 64)");
  command->callback([options, &work] {
    work = [options] {
      const Naming naming = parse_naming(options->names);
      const std::string extension = options->out.extension().string();
      check_input(extension != ".pth" && extension != ".pt" && extension != ".ckpt",
                  "{}: only safetensors files are written, not pickles; name it NAME.safetensors",
                  options->out.string());
      check_input(options->heads >= 0, "--heads: {} is negative", options->heads);
      CommandFiles files;
      files.reads_weights(options->in);
      files.writes("OUT", options->out);
      const EncoderWeights weights =
          load_encoder(load_weights_file(options->in), heads_or_any(options->heads));
      const NamedTensors named = named_as(weights, naming);
      const std::string choice = describe_choice(weights, options->in.string());
      if (!choice.empty()) fmt::print("{}\n", choice);
      if (drops_periods(weights, naming)) {
        fmt::print(
            "{}: its rotary periods are not those that {} computes, whose files have no place for them: "
            "features will differ by about 5e-4\n",
            options->in.string(), options->names);
      }
      save_safetensors(options->out, named, {{"format", "pt"}});
      fmt::print("{}: {} with the names of {}\n", options->out.string(),
                 counted(static_cast<int64_t>(named.size()), "tensor"), options->names);
      return 0;
    };
  });
}

}  // namespace dinomaly
