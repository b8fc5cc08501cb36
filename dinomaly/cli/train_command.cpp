// dinomaly train DATA: from a folder of images to a detector.
#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/train_flags.h"
#include "dinomaly/cli/train_models.h"

namespace dinomaly {

void add_train(CLI::App& app, Work& work) {
  CLI::App* command = app.add_subcommand("train", "train a detector on images of good parts");
  command->footer(
      "OUT gets config.json, log.csv, model.safetensors and, if test images are labelled, metrics.json and "
      "heatmaps. SIGINT or SIGTERM writes a checkpoint and exits with status 130 or 143; --resume continues, "
      "and --resume --finish makes a model of the checkpoint as it is. What has diverged (a loss, gradients "
      "or weights that are not finite) ends with status 2 and is not saved.\n"
      "Example: dinomaly train mvtec --categories bottle,pill --encoder dinov2-small-reg "
      "--out out");
  auto flags = std::make_shared<TrainFlags>(*command);
  command->callback([flags, &work] {
    const TrainOptions options = flags->options();
    const auto train = [options] { return train_models(options); };
    work = {train, train};
  });
}

}  // namespace dinomaly
