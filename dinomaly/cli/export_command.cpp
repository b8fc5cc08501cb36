// dinomaly export MODEL --to authors|anomalib --out FILE: a detector for another implementation.
#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/cli/command_files.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/model/detector_export.h"
#include "tensor/error.h"

namespace dinomaly {

void add_export(CLI::App& app, Work& work) {
  struct Options {
    std::filesystem::path model, out;
    std::optional<std::filesystem::path> encoder;
    std::string target;
    int64_t heads = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("export", "write a detector in another implementation's format");
  command->footer("Example: dinomaly export out/model.safetensors --to authors --out authors.safetensors");
  command->add_option("MODEL", options->model, "a trained Dinomaly, in any supported format")->required();
  command->add_option("--to", options->target, "authors or anomalib")
      ->required()
      ->check(CLI::IsMember({"authors", "anomalib"}));
  command->add_option("--out", options->out, "the safetensors file to write")->required();
  take_encoder_names(
      *command, command->add_option("--encoder", options->encoder,
                                    "the encoder's weights or name, for a MODEL saved without its encoder"));
  command
      ->add_option("--heads", options->heads, "attention heads, if MODEL does not say (default: width / 64)")
      ->check(from_to(0, 4096));
  command->callback([options, &work] {
    work.first = [options] {
      CommandFiles files;
      files.reads_weights(options->model);
      if (options->encoder) files.reads_weights(*options->encoder);
      files.writes("--out", options->out);
      const Detector detector = load_detector(options->model, options->encoder, options->heads);
      const DetectorKind target =
          options->target == "authors" ? DetectorKind::authors : DetectorKind::anomalib;
      export_detector(options->out, detector, target);
      fmt::print("{}: written with the names of {}\n", options->out.string(), options->target);
      return 0;
    };
  });
}

}  // namespace dinomaly
