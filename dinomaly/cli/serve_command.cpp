// dinomaly serve MODEL...: verdicts over HTTP.
#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/cli/verdict_flags.h"
#include "dinomaly/serve/serve.h"
#include "dinomaly/serve/token.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

struct ServeFlags {
  std::vector<std::string> models;
  std::string token, feedback;
  std::optional<int64_t> feedback_limit;
  DetectorFlags detector;
  VerdictFlags verdict;
  InspectionFlags inspection;
  ServeOptions serve;
};

// As run_predict() prepares it, of the file as it is now.
ModelPointer load_served(const ServeFlags& flags, const ModelShelf::Entry& entry) {
  DetectorFlags of_model = flags.detector;
  of_model.model = entry.file.string();
  Detector detector = open_detector(of_model);
  const Inspection inspection = inspection_for(flags.inspection, detector);
  OutputOptions output = verdict_options(flags.verdict, of_model.model, detector.calibration, inspection);
  const std::string undecided = without_decision(of_model.model, output);
  auto served = std::make_shared<const ServedModel>(entry.name, entry.file, std::move(detector), inspection,
                                                    std::move(output), of_model.batch);
  if (!undecided.empty()) print_error("dinomaly: {}\n", one_line(undecided));
  return served;
}

int run_serve(ServeFlags& flags) {
  check_can_serve();
  check_verdict_flags(flags.verdict);
  if (!flags.token.empty()) flags.serve.token = read_token(flags.token);
  check_serve_options(flags.serve);
  check_input(!flags.feedback_limit || !flags.feedback.empty(),
              "--feedback-limit: there is nothing to limit without --feedback");
  flags.serve.feedback_limit = flags.feedback_limit.value_or(flags.serve.feedback_limit);
  if (!flags.feedback.empty()) make_folder(flags.feedback);
  flags.serve.feedback = flags.feedback;
  flags.serve.version = DINOMALY_VERSION;
  ModelShelf models(
      flags.models, [&](const ModelShelf::Entry& entry) { return load_served(flags, entry); },
      [](const std::string& line) { print_error("dinomaly: {}\n", one_line(line)); });
  models.watch();
  const StopSignal signals;
  run_server(
      models, flags.serve, [] { return StopSignal::number() != 0; },
      [&](const std::string& address) {
        fmt::print("serving {} at {}\n", counted(static_cast<int64_t>(flags.models.size()), "model"),
                   address);
        flush_output();
      });
  return StopSignal::number() == SIGINT ? 128 + SIGINT : 0;  // SIGTERM is how a service is ended
}

}  // namespace

void add_serve(CLI::App& app, Work& work) {
  auto flags = std::make_shared<ServeFlags>();
  ServeOptions& serve = flags->serve;
  CLI::App* command = app.add_subcommand("serve", "judge images over HTTP, with a page for people");
  command->footer(
      "Exit status: 0 ended by SIGTERM, 130 by Ctrl-C, both after what is in flight; 2 a user's error; 3 a "
      "GPU has failed, "
      "and a new process is needed\n"
      "Examples:\n"
      "  dinomaly serve model.safetensors\n"
      "  curl --data-binary @part.png http://127.0.0.1:8080/predict\n"
      "  curl -F a=@1.png -F b=@2.png 'http://127.0.0.1:8080/predict?model=caps&overlay=png'\n"
      "  dinomaly serve caps=a.safetensors pills=b.safetensors --host 0.0.0.0 --token secret --feedback "
      "good\n"
      "POST /predict takes an image as the body, or several as multipart/form-data, and answers what predict "
      "--json prints; GET / is a page, /metrics is for Prometheus, /openapi.json says the rest. A model "
      "whose file "
      "is replaced is loaded again. No file that a request names is ever opened.");
  command
      ->add_option(
          "MODEL", flags->models,
          "trained models; a request names one by its file's name without extension, or as in NAME=FILE")
      ->required();
  command->add_option("--host", serve.host, "the address to listen on; beyond this machine only with --token")
      ->capture_default_str();
  command->add_option("--port", serve.port, "0: any that is free, which is printed")->capture_default_str();
  command->add_option("--token", flags->token,
                      "a file with the token that clients must send (Authorization: Bearer)");
  command->add_option(
      "--batch-wait", serve.batch_wait,
      "milliseconds that an image waits for others to be judged with (default: 2 on a GPU, 0 on a CPU)");
  command
      ->add_option("--queue", serve.queue,
                   "images that wait or are judged; a request beyond them is answered 503")
      ->capture_default_str();
  command->add_option("--max-body", serve.max_body, "bytes of a request")->capture_default_str();
  command->add_option("--max-pixels", serve.max_pixels, "pixels of an image")->capture_default_str();
  command->add_option("--timeout", serve.timeout, "seconds that a request may take, its upload included")
      ->capture_default_str();
  command->add_option(
      "--feedback", flags->feedback,
      "folder for images that the page's users call good; DIR/MODEL is data for calibrate and train");
  command->add_option("--feedback-limit", flags->feedback_limit, "images of a model in it")
      ->default_str(std::to_string(serve.feedback_limit));
  add_judging_flags(*command, flags->detector);
  add_verdict_flags(*command, flags->verdict);
  add_inspection_flags(*command, flags->inspection, "as the thresholds were found, whole without any",
                       "as the thresholds were found, none without any");
  command->callback([flags, &work] { work.first = [flags] { return run_serve(*flags); }; });
}

}  // namespace dinomaly
