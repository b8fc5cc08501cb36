// The program `dinomaly`: from a checkpoint and a folder of images to a decision.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/cli/stop_signal.h"
#include "tensor/backend.h"
#include "tensor/communicator.h"
#include "tensor/error.h"

using namespace dinomaly;

// Of an unknown command, or none, CLI11 would only say that a subcommand is required. `called`: what stands before `at`.
static void check_command(const CLI::App& app, int argc, char** argv, int at, const std::string& called) {
  const std::vector<const CLI::App*> commands = app.get_subcommands({});
  if (commands.empty()) return;
  check_input(argc > at, "no command is given; {} --help lists them", called);
  const std::string word = argv[at];
  if (word.starts_with('-')) return;
  std::vector<std::string> names;
  for (const CLI::App* command : commands) {
    if (command->get_name() == word) return check_command(*command, argc, argv, at + 1, called + " " + word);
    names.push_back(command->get_name());
  }
  fail_input("there is no command '{}'; {} --help lists them{}", word, called, did_you_mean(word, names));
}

static int work_together(const Work& work) {
  const Communicator& processes = communicator();
  if (processes.size() == 1) return work.first();
  check_input(
      work.others != nullptr,
      "{} processes were launched, but only train, predict, eval, calibrate and report are for several",
      processes.size());
  return processes.is_first() ? work.first() : work.others();
}

static int parse_and_work(int argc, char** argv) {
  CLI::App app{"Multi-class unsupervised anomaly detection (Dinomaly, CVPR 2025)", "dinomaly"};
  app.set_version_flag("--version", DINOMALY_VERSION, "Print the version and exit");
  app.footer(
      "Examples, from images to a decision:\n"
      "  dinomaly train parts --encoder dinov2-small-reg --out out\n"
      "  dinomaly predict out/model.safetensors new/ --out results\n"
      "  dinomaly report out/model.safetensors parts --out report.html\n"
      "dinomaly COMMAND --help explains a command. Exit status: 0 done, 1 judged anomalous (predict "
      "--fail-on-anomaly), 2 a user's error, 3 ours or a GPU's.");
  app.require_subcommand(1);
  Work work;
  for (const auto add : {add_calibrate, add_convert, add_encoder, add_eval, add_export, add_info,
                         add_make_dataset, add_predict, add_report, add_serve, add_train}) {
    add(app, work);
  }
  check_command(app, argc, argv, 1, "dinomaly");
  if (!parse_flags(app, argc, argv, fmt::format("{} (CPU kernels: {})", DINOMALY_VERSION, cpu_level())))
    return 0;
  return work_together(work);
}

// Of several processes the first one speaks. What the others have to say in an error they say a little later: if it was
// the same to all, the first has ended them by then, and there is one line of it. `came_to_end`: no exception ended it.
static int run(int argc, char** argv, bool& came_to_end) {
  return run_program("dinomaly", [&] {
    StopSignal::start_waiting();
    connect_processes();
    try {
      if (!communicator().is_first())
        check_input(std::freopen("/dev/null", "w", stdout) != nullptr, "/dev/null: cannot be opened");
      const int status = parse_and_work(argc, argv);
      came_to_end = true;
      return status;
    } catch (...) {
      if (!communicator().is_first()) std::this_thread::sleep_for(std::chrono::seconds(2));
      throw;
    }
  });
}

int main(int argc, char** argv) {
  bool came_to_end = false;
  const int status = run(argc, argv, came_to_end);
  // Whoever fails alone ends the others, which would wait for it.
  if (!came_to_end && communicator().size() > 1) communicator().abort(status);
  return status;
}
