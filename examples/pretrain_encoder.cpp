// Trains a vision transformer on images that it draws itself, without labels: one command, one file.
//
//   pretrain_encoder --minutes 180 --out encoder
//   dinomaly train MVTEC --encoder encoder/encoder.safetensors --out out
//
// OUT gets encoder.safetensors (bf16, DINOv3's names), log.csv, and checkpoints/, from which --resume goes on. --probe
// DATA tells now and then how well the features find anomalies there; nothing is ever trained on these images.

#include <CLI/CLI.hpp>
#include <cmath>

#include "dinomaly/base/files.h"
#include "dinomaly/base/folder_lock.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/base/stopwatch.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/pretraining/pretrainer.h"
#include "dinomaly/pretraining/probe.h"
#include "dinomaly/training/checkpoint.h"
#include "tensor/threads.h"

using namespace dinomaly;

struct Run {
  PretrainOptions options;
  std::filesystem::path out = "pretrained";
  double minutes = 180;
  int64_t steps = 0;  // 0: as many as the minutes allow
  bool resume = false, force = false;
  int threads = 0;
  double checkpoint_minutes = 5, probe_minutes = 5;
  std::filesystem::path probe;
  std::vector<std::string> categories;
};

// What a run has measured, and how long its steps took. A checkpoint has it, too.
struct Record {
  double seconds = 0;
  std::string steps =
      "step,seconds,loss,contrast,masked,labels,variance,covariance,rank,lr,step_seconds,render_share\n";
  std::string probes = "step,seconds,category,raw,standardised\n";

  void add(int64_t number, const PretrainStep& step) {
    seconds += step.seconds;
    steps += fmt::format("{},{:.1f},{:.5g},{:.5g},{:.5g},{:.5g},{:.5g},{:.5g},{:.5g},{:.4g},{:.3f},{:.3f}\n",
                         number, seconds, step.loss, step.contrast, step.masked, step.labels, step.variance,
                         step.covariance, step.rank, step.learning_rate, step.seconds,
                         step.render_seconds / step.seconds);
  }
};

using Probes = std::vector<std::pair<std::string, Probe>>;

static Probes read_probes(const Run& run) {
  Probes probes;
  if (run.probe.empty()) return probes;
  for (const Category& category : read_dataset(run.probe, run.categories).categories)
    probes.emplace_back(category.name, Probe(category));
  return probes;
}

static void probe(const Probes& probes, const Run& run, const Pretrainer& trainer, Record& record) {
  for (const auto& [name, probe] : probes) {
    const ProbeResult found =
        probe(trainer.teacher().encoder(), run.options.target_blocks(), run.options.dtype);
    fmt::print("step {}  {}: nearest neighbours, raw {:.3f}, standardised {:.3f}\n", trainer.step_count(),
               name, found.raw, found.standardised);
    record.probes += fmt::format("{},{:.1f},{},{:.4f},{:.4f}\n", trainer.step_count(), record.seconds, name,
                                 found.raw, found.standardised);
  }
  std::fflush(stdout);
}

static void print_line(int64_t number, double progress, const PretrainStep& step) {
  fmt::print(
      "step {}  {:.0f} %  loss {:.3f} (contrast {:.3f}, masked {:.3f}, covariance {:.1f})  rank {:.1f}  "
      "{:.2f} s a step, {:.0f} % of it drawing\n",
      number, 100 * progress, step.loss, step.contrast, step.masked, step.covariance, step.rank, step.seconds,
      100 * step.render_seconds / step.seconds);
  std::fflush(stdout);
}

// The checkpoint to continue from; none for a run that begins, which must not destroy another.
static std::optional<Checkpoint> earlier_checkpoint(const Run& run, const CheckpointFolder& checkpoints) {
  if (run.force && !run.resume) return std::nullopt;
  std::optional<Checkpoint> earlier = checkpoints.latest();
  check_input(!earlier || run.resume,
              "{}: an earlier run stopped here at step {}; --resume continues it, --force starts over",
              run.out.string(), earlier ? earlier->iteration : 0);
  check_input(earlier || run.force || !checkpoints.holds_any(),
              "{}: all checkpoints here are damaged; --force starts over",
              (run.out / "checkpoints").string());
  const std::filesystem::path encoder = run.out / "encoder.safetensors";
  check_input(earlier || run.force || !std::filesystem::exists(encoder),
              "{}: an earlier run has left its encoder here; --force replaces it, another --out keeps it",
              encoder.string());
  if (run.resume && !earlier) fmt::print("no checkpoint in {}; starting at step 0\n", run.out.string());
  return earlier;
}

static Record restore(const Checkpoint& earlier, const Run& run, Pretrainer& trainer) {
  check_input(earlier.text("options") == run.options.identity(), "{}: the run had other options: {}",
              earlier.path.string(), earlier.text("options"));
  trainer.load_state(earlier.tensors, earlier.path.string());
  const auto seconds = earlier.tensors.find("seconds");
  Record record{seconds == earlier.tensors.end() ? 0 : seconds->second.item(), earlier.text("log"),
                earlier.text("probe")};
  fmt::print("continuing from {}: {} steps done in {}\n", earlier.path.string(), trainer.step_count(),
             format_duration(record.seconds));
  return record;
}

static void save(const CheckpointFolder& checkpoints, const Run& run, Pretrainer& trainer,
                 const Record& record) {
  NamedTensors state = trainer.state();
  state.emplace_back("seconds", Tensor::from(std::vector<double>{record.seconds}, {1}));
  try {
    checkpoints.save(trainer.step_count(), state,
                     {{"options", run.options.identity()}, {"log", record.steps}, {"probe", record.probes}});
    write_file(run.out / "log.csv", record.steps);
    if (!run.probe.empty()) write_file(run.out / "probe.csv", record.probes);
  } catch (const InputError& error) {  // training is worth more than its checkpoint
    print_error("no checkpoint saved at step {}: {}\n", trainer.step_count(), error.what());
  }
}

// How far a run is, from 0 to 1: by steps if they are given, and then each run has the same bits; else by time.
static double progress_of(const Run& run, const Pretrainer& trainer, const Record& record) {
  if (run.steps > 0) return static_cast<double>(trainer.step_count()) / static_cast<double>(run.steps);
  return record.seconds / (60 * run.minutes);
}

// Draw scenes, crop each twice, let the student's features of a point find the teacher's features of the same point in
// the other crop; then the teacher follows the student. All of it is Pretrainer::step().
static int pretrain(const Run& run) {
  const FolderLock lock(run.out);
  const CheckpointFolder checkpoints(run.out / "checkpoints");
  const std::optional<Checkpoint> earlier = earlier_checkpoint(run, checkpoints);
  const Probes probes = read_probes(run);
  Pretrainer trainer(run.options);
  Record record = earlier ? restore(*earlier, run, trainer) : Record();
  if (!earlier) checkpoints.clear();

  Stopwatch since_checkpoint, since_probe, since_line;
  if (trainer.step_count() == 0) probe(probes, run, trainer, record);
  for (double progress = 0; (progress = progress_of(run, trainer, record)) < 1;) {
    const PretrainStep step = trainer.step(progress);
    record.add(trainer.step_count(), step);
    if (since_line.seconds() > 10 || trainer.step_count() == 1) {
      print_line(trainer.step_count(), progress, step);
      since_line = {};
    }
    if (since_probe.seconds() > 60 * run.probe_minutes) {
      probe(probes, run, trainer, record);
      since_probe = {};
    }
    if (since_checkpoint.seconds() > 60 * run.checkpoint_minutes) {
      save(checkpoints, run, trainer, record);
      since_checkpoint = {};
    }
  }
  probe(probes, run, trainer, record);
  save(checkpoints, run, trainer, record);
  trainer.teacher().save_encoder(run.out / "encoder.safetensors", Dtype::bf16);
  fmt::print("{}: {} steps in {}\n", (run.out / "encoder.safetensors").string(), trainer.step_count(),
             format_duration(record.seconds));
  return 0;
}

// None where only the help was asked for.
static std::optional<Run> parse(int argc, char** argv) {
  Run run;
  std::string objective = "all", precision = "bf16";
  CLI::App app{"Train an encoder on images that the program draws"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--out", run.out, "folder for encoder.safetensors, log.csv and checkpoints (pretrained)");
  app.add_option("--minutes", run.minutes, "how long to train (180)");
  app.add_option("--steps", run.steps, "train so many steps instead: then the same seed gives the same bits");
  app.add_option("--seed", run.options.seed, "of weights, scenes and crops (1)");
  app.add_flag("--resume", run.resume, "continue from the last checkpoint in OUT");
  app.add_flag("--force", run.force, "start over where an earlier run has left checkpoints");
  app.add_option("--threads", run.threads, "threads to compute with; 0: one per processor");
  app.add_option("--precision", precision, "bf16 (default) or f32");
  app.add_option("--probe", run.probe,
                 "data set whose anomalies are to be found by nearest neighbours; never trained on");
  app.add_option("--categories", run.categories, "a,b: of the probe (default: all)")->delimiter(',');
  app.add_option("--probe-every", run.probe_minutes, "minutes (5)");
  app.add_option("--checkpoint-every", run.checkpoint_minutes, "minutes (5)");
  app.add_option("--objective", objective, "all (default), dense, masked or labels");
  app.add_option("--width", run.options.width, "of the tokens (192)");
  app.add_option("--depth", run.options.depth, "blocks (12)");
  app.add_option("--heads", run.options.heads, "attention heads (3)");
  app.add_option("--pairs", run.options.pairs, "pairs of crops in a step (32)");
  app.add_option("--pool", run.options.pool, "scenes at hand (256)");
  app.add_option("--variance", run.options.variance, "weight of the penalty's variance (1)");
  app.add_option("--covariance", run.options.covariance, "weight of the penalty's covariance (0.05)");
  app.add_option("--temperature", run.options.temperature, "of InfoNCE (0.15)");
  app.add_option("--learning-rate", run.options.learning_rate, "its peak (8e-4)");
  app.get_option("--categories")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (!parse_flags(app, argc, argv)) return std::nullopt;
  run.options.objective = parse_objective(objective);
  check_input(precision == "bf16" || precision == "f32", "--precision: '{}' is not bf16 or f32", precision);
  run.options.dtype = precision == "bf16" ? Dtype::bf16 : Dtype::f32;
  check_input(std::isfinite(run.minutes) && run.minutes > 0, "--minutes: {} is not positive", run.minutes);
  check_input(run.steps >= 0, "--steps: {} is negative", run.steps);
  check_input(run.threads >= 0 && run.threads <= 1024, "--threads: {} is not in 0 to 1024", run.threads);
  check_input(run.checkpoint_minutes > 0 && run.probe_minutes > 0,
              "--checkpoint-every and --probe-every must be positive");
  run.options.validate();
  return run;
}

int main(int argc, char** argv) {
  return run_program("pretrain_encoder", [&] {
    const std::optional<Run> run = parse(argc, argv);
    if (!run) return 0;
    if (run->threads > 0) nabla::set_num_threads(run->threads);
    return pretrain(*run);
  });
}
