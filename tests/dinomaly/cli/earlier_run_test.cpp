// dinomaly train where an earlier run, or another one, has been: --force, --finish, more --iterations, the lock.
#include <chrono>
#include <thread>

#include "dinomaly/cli/train_run.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/weights/encoder_hash.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

// Waits until the run has saved a checkpoint.
bool has_checkpoint(const fs::path& out) {
  for (int i = 0; i < 400; ++i) {
    if (fs::exists(out / "checkpoints/00000050.safetensors")) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

std::string log_without_speed(const fs::path& out) {
  std::istringstream log(bytes_of(out / "log.csv"));
  std::string text;
  for (std::string line; std::getline(log, line);) text += line.substr(0, line.rfind(',')) + "\n";
  return text;
}

}  // namespace

TEST_CASE("train: a finished OUT is replaced with --force only") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--iterations 3 ";
  for (const char* more : {"", "--separate --checkpoint-every 0 "}) {
    CAPTURE(more);
    fs::remove_all(folder / "out");
    run_well(folder, flags + more);
    const fs::path model = folder / (*more == '\0' ? "out/model.safetensors" : "out/wood/model.safetensors");
    const std::string before = bytes_of(model), config = bytes_of(folder / "out/config.json"),
                      log = bytes_of(model.parent_path() / "log.csv");
    check_refused(folder, flags + more + "--seed 2",
                  "model.safetensors: an earlier run has left its model here; --force");
    CHECK(bytes_of(model) == before);
    CHECK(bytes_of(folder / "out/config.json") == config);
    CHECK(bytes_of(model.parent_path() / "log.csv") == log);
    run_well(folder, flags + more + "--seed 2 --force");
    CHECK(bytes_of(model) != before);
  }
  check_refused(folder, flags + "--force --resume", "only one can be meant");
}

TEST_CASE("train: --resume replaces no model that has no checkpoint beside it, and is not offered then") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--checkpoint-every 0 ";
  run_well(folder, flags + "--iterations 3");
  const std::string before = bytes_of(folder / "out/model.safetensors");
  check_refused(
      folder, flags + "--iterations 5 --resume",
      "model.safetensors: an earlier run has left its model here, but no checkpoint to continue from");
  CHECK_FALSE(contains(run_dinomaly(folder, flags + "--iterations 5").error, "--resume"));
  CHECK(bytes_of(folder / "out/model.safetensors") == before);
  run_well(folder, flags + "--iterations 5 --force");
  CHECK(bytes_of(folder / "out/model.safetensors") != before);
}

TEST_CASE(
    "train: an interrupted run is continued, made into a model as it is, or started over with --force") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--iterations 100000 --checkpoint-every 50 ",
                    out = (folder / "out").string();
  check_refused(folder, "train " + (folder / "data").string() + " --finish --out " + out,
                "--finish: needs --resume");
  check_refused(folder, flags + "--resume --finish", "--finish: there is no checkpoint in");
  {
    Child child(folder, flags);
    REQUIRE(has_checkpoint(folder / "out"));
    CHECK(WEXITSTATUS(child.end_with(SIGINT)) == 130);
    CHECK_MESSAGE(contains(child.out(), "--resume --finish makes a model of it"), child.out());
  }
  check_refused(folder, flags, "--resume continues it, --force starts over");
  const std::string log = log_without_speed(folder / "out");
  const Outcome outcome = run_well(folder, "train --resume --finish --out " + out);
  CHECK(contains(outcome.out, "thresholds: "));
  CHECK(log_without_speed(folder / "out") == log);
  CHECK(fs::exists(folder / "out/metrics.json"));
  CHECK(run_dinomaly(folder, "predict " + out + "/model.safetensors " +
                                 (folder / "data/wood/test/good").string() + " --fail-on-anomaly")
            .status <= 1);
  // The weights are those of the checkpoint, which is still there to be continued from.
  const Checkpoint saved = CheckpointFolder(folder / "out/checkpoints").latest().value();
  CHECK(SafeTensors::load(folder / "out/model.safetensors")
            .get("decoder.0.mlp.fc1.weight")
            .to_vector<float>() == saved.tensors.at("model.decoder.0.mlp.fc1.weight").to_vector<float>());
  CHECK(saved.text("done") == "false");
  run_well(folder, small_run(folder, "out") + "--iterations 3 --force");
}

TEST_CASE("train: a run of one model for all categories does not go on as one for each, nor the reverse") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string joint = small_run(folder, "joint") + "--iterations 2 --checkpoint-every 1 ",
                    apart = small_run(folder, "apart") + "--iterations 2 --checkpoint-every 1 ";
  run_well(folder, joint);
  const std::string config = bytes_of(folder / "joint/config.json");
  for (const char* more : {"--separate", "--separate --resume"})
    check_refused(folder, joint + more,
                  "joint: an earlier run has trained one model for all categories here");
  CHECK(bytes_of(folder / "joint/config.json") == config);
  CHECK_FALSE(fs::exists(folder / "joint/wood"));
  run_well(folder, apart + "--separate");
  fs::remove(folder / "apart/config.json");  // which says --separate
  check_refused(folder, apart + "--resume", "apart: an earlier run has trained one model per category here");
  run_well(folder, apart + "--resume --separate --iterations 3");
}

TEST_CASE("train --resume: more iterations train further; fewer are refused") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string out = (folder / "out").string();
  run_well(folder, small_run(folder, "out") + "--iterations 4 --checkpoint-every 2");
  const std::string model = bytes_of(folder / "out/model.safetensors"),
                    log = log_without_speed(folder / "out");
  check_refused(folder, "train --resume --iterations 3 --out " + out, "option 'iterations' is 3");
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
  const Outcome outcome = run_well(folder, "train --resume --iterations 7 --out " + out);
  CHECK(contains(outcome.out, "note: 7 iterations, before 4: "));
  CHECK(contains(outcome.out, "4 of 7 iterations done"));
  CHECK(bytes_of(folder / "out/model.safetensors") != model);
  const std::string longer = log_without_speed(folder / "out");
  CHECK(longer.starts_with(log));
  CHECK(std::count(longer.begin(), longer.end(), '\n') == 8);
  CHECK(json_of(folder / "out/config.json").at("iterations") == 7);
  CHECK(fs::exists(folder / "out/checkpoints/00000007.safetensors"));
}

TEST_CASE("train: two runs into one OUT: the second is refused, and the first loses nothing") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--iterations 100000 --checkpoint-every 50 ";
  Child child(folder, flags);
  REQUIRE(has_checkpoint(folder / "out"));
  for (const char* more : {"", "--resume", "--force", "--separate"}) {
    check_refused(folder, flags + more, "out: another run is writing into this folder");
  }
  CHECK_FALSE(child.ended());
  child.end_with(SIGKILL);
  check_refused(folder, flags, "--resume continues it");  // no lock is left
  const std::string one = small_run(folder, "apart") + "--iterations 100000 --checkpoint-every 50 ";
  Child separate(folder, one + "--separate");
  REQUIRE(has_checkpoint(folder / "apart/weave"));
  check_refused(folder, small_run(folder, "apart/weave") + "--force", "apart/weave: another run is writing");
}

// Test images are decoded before training begins; this one goes bad while it lasts.
TEST_CASE("train: the trained model is saved whatever ends the pass over the test images") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  TrainOptions options;
  options.data = folder / "data", options.out = folder / "out";
  options.config.image.resize_h = options.config.image.resize_w = 56;
  options.config.image.crop_h = options.config.image.crop_w = 56;
  options.config.batch = 2, options.config.iterations = 2, options.config.map_size = 32;
  options.calibrate = "good";
  const EncoderWeights encoder = tiny_encoder();
  options.config = make_model(options, encoder)->config();
  const Dataset dataset = read_dataset(*options.data, {}, Layout::automatic);
  TrainRun run(options, encoder, encoder_sha256(encoder.tensors), dataset, options.out);
  REQUIRE(run.train() == 0);
  write_file(dataset.categories.back().test.back().image, "no image any more");
  CHECK(contains(input_error([&] { run.finish(); }), dataset.categories.back().test.back().image.string()));
  REQUIRE(fs::exists(options.out / "model.safetensors"));
  CHECK(load_detector(options.out / "model.safetensors").config().iterations == 2);
}
