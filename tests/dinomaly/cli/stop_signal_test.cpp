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
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = std::to_string(signal);
    Child child(folder, fmt::format("make-dataset {}/{} --train 5000", folder.path().string(), name));
    REQUIRE(wait_until([&] {
      return std::any_of(
          fs::directory_iterator(folder.path()), fs::directory_iterator(),
          [&](const auto& entry) { return contains(entry.path().filename().string(), "." + name + "."); });
    }));
    const int status = child.end_with(signal);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
  }
}
