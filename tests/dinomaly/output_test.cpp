// What a user sees while the program works: a bar on a terminal, plain lines in a log; and output that cannot
// be written is no success.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "dinomaly/report/progress.h"
#include "tests/dinomaly/program.h"

using namespace dinomaly;

namespace {

// What `work` writes to standard output and error, both being a terminal, in a process of its own.
std::string on_terminal(const std::function<void()>& work) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const int side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  REQUIRE(side >= 0);
  std::fflush(nullptr);  // or the child would write it, too
  const pid_t child = fork();
  if (child == 0) {
    dup2(side, STDOUT_FILENO);
    dup2(side, STDERR_FILENO);
    work();
    std::fflush(stdout);
    _exit(0);
  }
  close(side);
  std::string text;
  char bytes[4096];
  // Reading fails once the child's side is closed.
  for (ssize_t size; (size = read(terminal, bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(size));
  waitpid(child, nullptr, 0);
  close(terminal);
  return text;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("progress: on a terminal one line with a bar, rate and time left, gone at the end") {
  const std::string text = on_terminal([] {
    Progress progress("predict", 4, 0.001);
    for (int i = 0; i < 4; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      progress.advance();
    }
  });
  CHECK_MESSAGE(contains(text, "\rpredict: 1/4 pictures"), text);
  CHECK(contains(text, "[#####...............]"));
  CHECK(contains(text, "[####################]"));
  CHECK(contains(text, "pictures/s"));
  CHECK(contains(text, " left"));
  CHECK_FALSE(contains(text, "\n"));
  CHECK(text.ends_with("\r\x1b[K"));
}

TEST_CASE("progress: in a log whole lines, neither bar nor control characters") {
  const TemporaryFolder folder;
  std::fflush(nullptr);  // or the child would write it, too
  const pid_t child = fork();
  if (child == 0) {
    dup2(open((folder / "log").c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    {
      Progress progress("eval", 3, 0.001), quiet("quiet", 3);
      for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        progress.advance();
        quiet.advance();  // a line every ten seconds is none here
      }
    }
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const std::string log = read_file(folder / "log", 1 << 20);
  CHECK_MESSAGE(std::count(log.begin(), log.end(), '\n') == 3, log);
  CHECK(contains(log, "eval: 2/3 pictures  "));
  CHECK(contains(log, " left\n"));
  for (const char* part : {"\r", "\x1b", "[#", "quiet"}) CHECK_FALSE(contains(log, part));
}

TEST_CASE("training log: a bar on a terminal, a plain line at the end elsewhere") {
  const TemporaryFolder folder;
  const auto work = [&] {
    TrainingLog log(folder / "log.csv", 2, 16);
    log.tick(0, 0.5, 0, 1);
    log.tick(1, 0.25, 1e-3, 1);
    log.finish();
  };
  const std::string text = on_terminal(work);
  CHECK_MESSAGE(contains(text, "\riteration 2/2  loss 0.3750  lr 1.00e-03  "), text);
  CHECK(contains(text, "0:00 left  [####################]"));
  const std::string command = (folder / "out").string();
  std::fflush(nullptr);  // or the child would write it, too
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(command.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    work();
    std::fflush(stdout);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const std::string plain = read_file(command, 1 << 20);
  CHECK_MESSAGE(contains(plain, "iteration 2/2  loss 0.3750"), plain);
  CHECK(plain.ends_with(" left\n"));
  CHECK_FALSE(contains(plain, "\r"));
}

TEST_CASE("standard output that cannot be written is told, status 2") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), pictures = (folder / "data/wood/test/good").string();
  for (const std::string& flags :
       {"predict " + model + " " + pictures + " --json", "info " + model, "info --json " + model,
        "eval " + model + " " + (folder / "data").string(), std::string("train --help")}) {
    CAPTURE(flags);
    const std::string error = (folder / "stderr").string();
    const int status = std::system(("OMP_NUM_THREADS=1 " + std::string(DINOMALY_BINARY_DIR) +
                                    "/bin/dinomaly " + flags + " >/dev/full 2>" + error)
                                       .c_str());
    CHECK(WEXITSTATUS(status) == 2);
    const std::string text = read_file(error, 1 << 20);
    CHECK_MESSAGE(text.starts_with("dinomaly: standard output: cannot be written"), text);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  }
}
