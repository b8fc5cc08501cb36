// dinomaly make-dataset DIR: the procedural data set, in MVTec AD's layout.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/synthetic/procedural.h"
#include "tensor/error.h"

namespace dinomaly {

void add_make_dataset(CLI::App& app, Work& work) {
  struct Options {
    std::string directory;
    ProceduralOptions drawn;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("make-dataset", "draw a small data set in MVTec AD's layout");
  command->footer("Example: dinomaly make-dataset images --categories weave,flange --train 100 --seed 7");
  command
      ->add_option(
          "DIR", options->directory,
          "the folder to create; a set drawn earlier with other options is replaced if it holds nothing else")
      ->required();
  command
      ->add_option("--categories", options->drawn.categories,
                   fmt::format("which of {} (default: all)", fmt::join(procedural_categories(), ",")))
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--seed", options->drawn.seed, "the only thing the images depend on")
      ->capture_default_str();
  command->add_option("--size", options->drawn.size, "pixels per side")->capture_default_str();
  command->add_option("--train", options->drawn.train, "normal training images per category")
      ->capture_default_str();
  command->add_option("--good", options->drawn.good, "normal test images per category")
      ->capture_default_str();
  command->add_option("--per-defect", options->drawn.per_defect, "test images for each of the five defects")
      ->capture_default_str();
  command->callback([options, &work] {
    work.first = [options] {
      check_input(options->directory != "-", "DIR: standard output is no folder; ./- is one of that name");
      const StopSignal signals;
      const Drawing drawing =
          make_dataset(options->directory, options->drawn, [] { return StopSignal::number() != 0; });
      fmt::print("{}: {}\n", options->directory,
                 drawing == Drawing::done   ? "drawn"
                 : drawing == Drawing::kept ? "already drawn"
                                            : "stopped before all was drawn; nothing was changed");
      return drawing == Drawing::stopped ? 128 + StopSignal::number() : 0;
    };
  });
}

}  // namespace dinomaly
