// dinomaly train --resume: runs that were killed, stopped, or whose checkpoints are damaged end as if
// nothing had happened.
#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.insert(it->path().filename().string());
  }
  return names;
}

// How many iterations the latest checkpoint has; 0 without any.
int latest(const fs::path& checkpoints) {
  const std::set<std::string> names = names_in(checkpoints);
  int iteration = 0;
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors") && std::isdigit(name[0]))
      iteration = std::max(iteration, std::stoi(name));
  }
  return iteration;
}

template <class Done>
bool wait_for(Done done, double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return false;
}

// log.csv without its last column, the speed.
std::string log_of(const fs::path& out) {
  std::istringstream log(bytes_of(out / "log.csv"));
  std::string text;
  for (std::string line; std::getline(log, line);) text += line.substr(0, line.rfind(',')) + "\n";
  return text;
}

void check_same_results(const fs::path& a, const fs::path& b) {
  CHECK(bytes_of(a / "model.safetensors") == bytes_of(b / "model.safetensors"));
  CHECK(log_of(a) == log_of(b));
  CHECK(json_of(a / "metrics.json").at("categories") == json_of(b / "metrics.json").at("categories"));
  CHECK(temporaries_below(a).empty());
}

}  // namespace

// Every second kill falls into the writing of a checkpoint, the others on any moment from the
// program's start on.
TEST_CASE("resume: killed twenty-five times at random moments, a run ends with the same bits") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string options = " --iterations 80 --checkpoint-every 1 --eval-every 25 --keep-best pixel_ap";
  run_well(folder, small_run(folder, "straight") + options);
  const std::string killed = small_run(folder, "killed") + options + " --resume";
  const fs::path checkpoints = folder / "killed/checkpoints";
  std::mt19937 random(7);
  int kills = 0, torn = 0, in_training = 0;
  for (; kills < 25; ++kills) {
    const int begin = latest(checkpoints);
    const auto left = names_in(checkpoints);
    Child child(folder, killed);
    if (kills % 2 == 1) {
      const int writes = static_cast<int>(random() % 3) + begin;
      wait_for(
          [&] {
            const auto now = names_in(checkpoints);
            return child.ended() ||
                   (latest(checkpoints) >= writes && std::any_of(now.begin(), now.end(), [&](auto& name) {
                      return name.ends_with(".tmp") && !left.contains(name);
                    }));
          },
          20);
    } else {
      const double seconds = 0.4 * static_cast<double>(random()) / static_cast<double>(std::mt19937::max());
      wait_for([&] { return child.ended() || latest(checkpoints) > begin + 4; }, seconds);
    }
    REQUIRE_FALSE(child.ended());
    const int status = child.end_with(SIGKILL);
    REQUIRE(WIFSIGNALED(status));
    CHECK_MESSAGE(child.error().empty(), child.error());
    torn += !temporaries_below(checkpoints).empty();
    in_training += latest(checkpoints) > begin;
  }
  CHECK(torn >= 5);
  CHECK(in_training >= 5);
  const int done = latest(checkpoints);
  CHECK(done < 80);
  CHECK(contains(run_well(folder, killed).out, fmt::format("{} of 80 iterations done", done)));
  check_same_results(folder / "killed", folder / "straight");
  CHECK(bytes_of(folder / "killed/validation.csv") == bytes_of(folder / "straight/validation.csv"));
}

TEST_CASE("resume: SIGINT and SIGTERM write a checkpoint, say so, and no work is lost") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  for (const auto& [signal, status] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const std::string out = fmt::format("out{}", signal);
    const fs::path checkpoints = folder / out / "checkpoints";
    const std::string flags = small_run(folder, out) + " --iterations 100000 --checkpoint-every 50";
    Child child(folder, flags);
    REQUIRE(wait_for([&] { return latest(checkpoints) > 0; }, 20));
    const int end = child.end_with(signal);
    CHECK(WIFEXITED(end));
    CHECK(WEXITSTATUS(end) == status);
    CHECK(child.error().empty());
    const int done = latest(checkpoints);
    CHECK_MESSAGE(contains(child.out(), fmt::format("stopped after {} of 100000 iterations; "
                                                    "no work is lost, --resume continues bit for bit; ",
                                                    done)),
                  child.out());
    const std::string log = bytes_of(folder / out / "log.csv");
    CHECK(std::count(log.begin(), log.end(), '\n') == done + 1);
    CHECK_FALSE(fs::exists(folder / out / "model.safetensors"));
    check_refused(folder, flags, "--resume continues it");  // a new run would overwrite it
    CHECK(latest(checkpoints) == done);
  }
}

TEST_CASE("resume: without a checkpoint it starts; a finished run has nothing left to do") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + " --iterations 4 --resume";
  CHECK(contains(run_well(folder, flags).out, "no checkpoint in"));
  const std::string model = bytes_of(folder / "out/model.safetensors");
  // OUT/config.json holds the options: --resume and --out are enough.
  const Outcome again = run_well(folder, "train --resume --out " + (folder / "out").string());
  CHECK(contains(again.out, "4 of 4 iterations done"));
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
}

TEST_CASE("resume: the number of threads may change, the bits do not") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + " --iterations 6 --checkpoint-every 3 --threads ";
  run_well(folder, flags + "2");
  const std::string model = bytes_of(folder / "out/model.safetensors");
  fs::remove(folder / "out/checkpoints/00000006.safetensors");
  CHECK(contains(run_well(folder, flags + "3 --resume").out, "3 of 6 iterations done"));
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
}

TEST_CASE("resume: another run's options are refused in one line") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "out") + " --iterations 4 --checkpoint-every 2");
  const fs::path checkpoint = folder / "out/checkpoints/00000004.safetensors";
  const std::string before = bytes_of(checkpoint);
  const std::string flags = small_run(folder, "out") + " --iterations 4 --checkpoint-every 2 --resume ";
  NamedTensors changed;
  for (const auto& [name, tensor] : tiny_encoder().tensors) {
    changed.emplace_back(name, name == "cls_token" ? Tensor::zeros(tensor.shape()) : tensor);
  }
  save_safetensors(folder / "other.safetensors", changed);
  const std::pair<std::string, std::string> wrong[] = {
      {"--batch 3", "option 'batch' is 3, but the checkpoint was trained with 2"},
      {"--iterations 3", "option 'iterations' is 3"},
      {"--seed 2", "option 'seed' is 2"},
      {"--resize 70", "option 'resize_h' is 70"},
      {"--set dropout=0.1", "option 'dropout' is 0.1"},
      {"--set decoder_depth=3", "option 'decoder"},
      {"--set target_blocks=[1,2]", "groups"},
      {"--set learning_rate=0.001", "option 'learning_rate' is 0.001"},
      {"--preset anomalib", "option '"},
      {"--precision bf16", "option 'precision' is \"bf16\""},
      {"--feature-dtype bf16", "option 'feature_dtype'"},
      {"--eval-every 2", "option 'eval_every' is 2"},
      {"--categories wood", "other training images"},
      {"--encoder " + (folder / "other.safetensors").string(), "--encoder has other weights"}};
  for (const auto& [option, expected] : wrong) check_refused(folder, flags + option, expected);
  fs::rename(folder / "data/wood/train/good/000.png", folder / "data/wood/train/good/900.png");
  check_refused(folder, flags, "other training images");
  CHECK(bytes_of(checkpoint) == before);
}

TEST_CASE("resume: other images under the same names are refused") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const fs::path good = folder / "data/wood/train/good", test = folder / "data/weave/test/good";
  const std::string flags =
      small_run(folder, "out") + " --iterations 4 --checkpoint-every 2 --eval-every 4 --mean 0.4,0.5,0.6 ";
  run_well(folder, flags);
  const fs::path checkpoint = folder / "out/checkpoints/00000004.safetensors";
  const std::string before = bytes_of(checkpoint), image = bytes_of(good / "000.png"),
                    judged = bytes_of(test / "000.png");
  fs::copy_file(good / "001.png", good / "000.png", fs::copy_options::overwrite_existing);
  check_refused(folder, flags + "--resume", "--resume: the training images of category 'wood' have changed");
  write_file(good / "000.png", image);
  fs::copy_file(test / "001.png", test / "000.png", fs::copy_options::overwrite_existing);
  check_refused(folder, flags + "--resume", "--resume: the test images of category 'weave' have changed");
  write_file(test / "000.png", judged);
  CHECK(bytes_of(checkpoint) == before);
  check_refused(folder, flags + "--resume --mean 0.4,0.5,0.7",
                "option 'mean' is [0.4,0.5,0.7], but the checkpoint was trained with [0.4,0.5,0.6]");
  run_well(folder, flags + "--resume --iterations 5");
}

TEST_CASE("resume: a damaged checkpoint is reported and the previous one used") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + " --iterations 6 --checkpoint-every 2";
  run_well(folder, flags);
  const fs::path checkpoints = folder / "out/checkpoints", last = checkpoints / "00000006.safetensors",
                 before = checkpoints / "00000004.safetensors";
  const std::string whole = bytes_of(last), earlier = bytes_of(before),
                    model = bytes_of(folder / "out/model.safetensors");
  const auto order = SafeTensors::load(last).get("order").to_vector<int64_t>();
  const auto flipped = [&](size_t at) {
    std::string bytes = whole;
    bytes.at(at) = static_cast<char>(bytes[at] ^ 1);
    return bytes;
  };
  const std::string damaged[] = {"",
                                 whole.substr(0, 5),
                                 whole.substr(0, whole.size() / 2),
                                 whole.substr(0, whole.size() - 1),
                                 whole + "x",
                                 std::string(whole.size(), '\0'),
                                 flipped(0),
                                 flipped(200),
                                 flipped(whole.size() / 2),
                                 flipped(whole.size() - 1)};
  for (const std::string& bytes : damaged) {
    CAPTURE(bytes.size());
    write_file(last, bytes);
    write_file(before, earlier);
    const Outcome outcome = run_well(folder, flags + " --resume");
    CHECK_MESSAGE(contains(outcome.error, "00000006.safetensors"), outcome.error);
    CHECK(contains(outcome.error, "using the previous one\n"));
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
    CHECK(contains(outcome.out, "4 of 6 iterations done"));
    CHECK(bytes_of(folder / "out/model.safetensors") == model);
    CHECK(SafeTensors::load(last).get("order").to_vector<int64_t>() == order);
  }
  write_file(last, flipped(900));
  write_file(before, "torn");
  // Without any whole one nothing is trained and nothing removed, unless --force says so.
  fs::remove(folder / "out/model.safetensors");
  for (const char* resume : {" --resume", ""}) {
    CAPTURE(resume);
    const Outcome outcome = run_dinomaly(folder, flags + resume);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.error, "00000006.safetensors"));
    CHECK(contains(outcome.error, "00000004.safetensors"));
    CHECK_MESSAGE(outcome.error.ends_with(
                      "all checkpoints here are damaged; --force instead of --resume starts over\n"),
                  outcome.error);
    CHECK(bytes_of(last) == flipped(900));
    CHECK(bytes_of(before) == "torn");
  }
  run_well(folder, flags + " --force");
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
}

// A file size limit simulates a full disk: writes fail in the middle of the file.
TEST_CASE("resume: a checkpoint without room leaves the previous one, which a run can continue from") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string options = " --iterations 8 --checkpoint-every 4";
  run_well(folder, small_run(folder, "straight") + options);
  run_well(folder, small_run(folder, "out") + options);
  const fs::path checkpoints = folder / "out/checkpoints";
  fs::remove(checkpoints / "00000008.safetensors");
  fs::remove(folder / "out/model.safetensors");
  // In blocks of 512 bytes: the model fits, a checkpoint of four times the trained weights does not.
  const uintmax_t model = fs::file_size(folder / "straight/model.safetensors"),
                  state = fs::file_size(checkpoints / "00000004.safetensors");
  REQUIRE(state > model + 10000);
  const std::string limit = fmt::format("ulimit -f {}; ", (model + 5000) / 512);
  Outcome outcome = run_dinomaly(folder, small_run(folder, "out") + options + " --resume", limit);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK_MESSAGE(contains(outcome.error, "no checkpoint saved at iteration 8"), outcome.error);
  CHECK(contains(outcome.error, "00000008.safetensors: cannot be written: File too large"));
  CHECK(contains(outcome.error, "the last one is from iteration 4\n"));
  CHECK(latest(checkpoints) == 4);
  check_same_results(folder / "out", folder / "straight");
  // Not even the model fits: one line, and a checkpoint to continue from.
  fs::remove(folder / "out/model.safetensors");
  outcome = run_dinomaly(folder, small_run(folder, "out") + options + " --resume", "ulimit -f 60; ");
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(contains(outcome.error, "model.safetensors: cannot be written"), outcome.error);
  CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
  CHECK(temporaries_below(folder / "out").empty());
  run_well(folder, small_run(folder, "out") + options + " --resume");
  check_same_results(folder / "out", folder / "straight");
}
