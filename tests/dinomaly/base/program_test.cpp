// What every program does around its work.
#include "dinomaly/base/program.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/move_file.h"
#include "dinomaly/base/standard_error.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

// The exit status of run_program() in a process of its own.
int status_of(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(run_program("child", work));
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The status and what came on standard error.
std::pair<int, std::string> end_of(const std::function<int()>& work) {
  const TemporaryFolder folder;
  const int status = status_of([&] {
    dup2(open((folder / "error").c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    return run_program("inner", work);
  });
  return {status, read_file(folder / "error", 10000)};
}

}  // namespace

TEST_CASE("program: a lack of memory is one line and status 3, wherever it is met") {
  const auto lacks = [](const std::function<int()>& work, const std::string& line) {
    const auto [status, error] = end_of(work);
    CHECK_MESSAGE(status == 3, line);
    CHECK(error == "inner: " + line + "\n");
  };
  lacks([]() -> int { throw std::bad_alloc(); }, "out of memory");
  lacks([]() -> int { throw OutOfMemory("out of memory: 5 bytes"); }, "out of memory: 5 bytes");
  lacks([]() -> int { throw std::system_error(std::make_error_code(std::errc::not_enough_memory)); },
        "out of memory");
  lacks(
      []() -> int {
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      },
      "out of memory, or of processes: a thread cannot be started");
  lacks(
      [] {
        std::thread([] { throw std::bad_alloc(); }).join();
        return 0;
      },
      "out of memory");
}

TEST_CASE("program: a library that ends the process is no verdict") {
  CHECK(status_of([] { return 1; }) == 1);
  CHECK(status_of([]() -> int { std::exit(1); }) == 3);
}

TEST_CASE("program: a standard stream that is closed is no place for a file; a lost message is no failure") {
  const TemporaryFolder folder;
  const int status = status_of([&] {
    close(STDERR_FILENO);
    return run_program("inner", [&] {
      write_file(folder / "result", "whole");
      print_error("a message\n");
      write_error("another\n");
      return 0;
    });
  });
  CHECK(status == 0);
  CHECK(read_file(folder / "result", 100) == "whole");
}

TEST_CASE("files: a relative link that moves leads where it led") {
  const TemporaryFolder folder;
  write_file(folder / "real.png", "pixels");
  std::filesystem::create_directories(folder / "in");
  std::filesystem::create_symlink("../real.png", folder / "in/link.png");
  write_file(folder / "out/deep/link.png", "taken");
  const auto moved = move_file(folder / "in/link.png", folder / "out/deep/link.png");
  CHECK(moved == folder / "out/deep/link-2.png");
  CHECK(std::filesystem::is_symlink(moved));
  CHECK(read_file(moved, 100) == "pixels");
  CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(folder / "in/link.png")));
  CHECK(read_file(folder / "out/deep/link.png", 100) == "taken");
}
