// SIGINT and SIGTERM reach the one thread that waits for them, and none that computes.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>

#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

// The signals that each thread of the process blocks, as the system writes them: a bit for each. By the thread's number;
// that of the main thread is the process's.
std::map<std::string, uint64_t> blocked_signals(pid_t process) {
  std::map<std::string, uint64_t> masks;
  std::error_code error;
  for (const auto& thread : fs::directory_iterator(fmt::format("/proc/{}/task", process), error)) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("SigBlk:"))
        masks[thread.path().filename()] = std::stoull(line.substr(7), nullptr, 16);
    }
  }
  return masks;
}

bool has_both(uint64_t mask) {
  const auto has = [&](int signal) { return (mask >> (signal - 1) & 1) != 0; };
  return has(SIGINT) && has(SIGTERM);
}

}  // namespace

// A handler's frame would be written to where oneDNN's kernels let the stack pointer point: into the heap.
TEST_CASE("signals: no thread that computes is interrupted; one waits, and a run stops when it is told") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  Child child(folder, small_run(folder, "out") + "--iterations 1000000 --checkpoint-every 1");
  REQUIRE(wait_until([&] { return fs::exists(folder / "out/checkpoints"); }));
  const std::map<std::string, uint64_t> masks = blocked_signals(child.pid());
  REQUIRE(masks.size() >= 2);  // it computes, and it waits
  CHECK(has_both(masks.at(std::to_string(child.pid()))));
  // While it waits for them, a thread does not block them.
  CHECK(std::count_if(masks.begin(), masks.end(),
                      [](const auto& thread) { return !has_both(thread.second); }) <= 1);
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 128 + SIGTERM);
  CHECK(contains(child.out(), "no work is lost"));
}

TEST_CASE("signals: a command that listens to none ends of it") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const fs::path good = folder / "data/wood/test/good";
  for (int i = 0; i < 4000; ++i) fs::create_hard_link(good / "000.png", good / fmt::format("more{}.png", i));
  for (const int signal : {SIGINT, SIGTERM}) {
    Child child(folder, fmt::format("eval {0}/model {0}/data", folder.path().string()));
    REQUIRE(wait_until([&] { return blocked_signals(child.pid()).size() >= 2; }));
    const int status = child.end_with(signal);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
  }
}

TEST_CASE("signals: a data set that is being drawn goes without a trace, by make-dataset and by train") {
  const TemporaryFolder folder;
  const auto drawing = [](const fs::path& parent, const std::string& name) {
    std::error_code none_yet;
    for (const auto& entry : fs::directory_iterator(parent, none_yet))
      if (entry.path().filename().string().starts_with("." + name + ".")) return true;
    return false;
  };
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string set = fmt::format("set{}", signal), out = fmt::format("out{}", signal);
    Child drawn(folder, fmt::format("make-dataset {}/{} --train 5000", folder.path().string(), set));
    REQUIRE(wait_until([&] { return drawing(folder.path(), set); }));
    CHECK(WEXITSTATUS(drawn.end_with(signal)) == 128 + signal);
    CHECK(contains(drawn.out(), "stopped"));
    CHECK_FALSE(drawing(folder.path(), set));
    CHECK_FALSE(fs::exists(folder / set));
    Child trained(folder, fmt::format("train --encoder random --out {}/{}", folder.path().string(), out));
    REQUIRE(wait_until([&] { return drawing(folder / out, "dataset"); }));
    CHECK(WEXITSTATUS(trained.end_with(signal)) == 128 + signal);
    CHECK(contains(trained.out(), "stopped before the training began"));
    CHECK_FALSE(drawing(folder / out, "dataset"));
    CHECK_FALSE(fs::exists(folder / out / "dataset"));
  }
}
