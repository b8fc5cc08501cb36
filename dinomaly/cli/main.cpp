// The program `dinomaly`: from a checkpoint and a folder of pictures to a decision.
#include <CLI/CLI.hpp>

#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/program.h"
#include "tensor/error.h"

using namespace dinomaly;

int main(int argc, char** argv) {
  return run_program("dinomaly", [&] {
    CLI::App app{"Multi-class unsupervised anomaly detection (Dinomaly, CVPR 2025)", "dinomaly"};
    app.require_subcommand(1);
    Work work;
    add_make_dataset(app, work);
    add_train(app, work);
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      fmt::print("{}", app.help());
      throw;
    }
    return work();
  });
}
