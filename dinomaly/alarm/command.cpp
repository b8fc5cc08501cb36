#include "dinomaly/alarm/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <sstream>
#include <system_error>
#include <thread>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

extern char** environ;  // NOLINT: POSIX

namespace dinomaly {

namespace {

using Clock = std::chrono::steady_clock;

bool is_program(const std::string& path) {
  std::error_code ignored;
  return access(path.c_str(), X_OK) == 0 && !std::filesystem::is_directory(path, ignored);
}

bool can_be_found(const std::string& program) {
  if (program.find('/') != std::string::npos) return is_program(program);
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/bin:/usr/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (is_program((folder.empty() ? "." : folder) + "/" + program)) return true;
  }
  return false;
}

// A file in memory, read from its beginning.
class StandardInput {
 public:
  explicit StandardInput(std::string text) : descriptor_(memfd_create("anomaly", MFD_CLOEXEC)) {
    text += '\n';
    const bool whole = descriptor_ >= 0 &&
                       write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       lseek(descriptor_, 0, SEEK_SET) == 0;
    if (whole) return;
    if (descriptor_ >= 0) close(descriptor_);
    throw std::bad_alloc();
  }
  ~StandardInput() { close(descriptor_); }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// In a process group of its own, so that it can be ended with its children, and that Ctrl-C does not end it; with no signal
// blocked, as the program's own threads have them.
int start(const std::string& program, int input, pid_t& process) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = program;
  char* arguments[] = {name.data(), nullptr};
  const int error = posix_spawnp(&process, program.c_str(), &files, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

class Command : public AlarmWay {
 public:
  Command(std::string program, double seconds) : program_(std::move(program)), patience_(seconds) {}

  void send(const std::string& json) override {
    const StandardInput input(json);
    pid_t process = 0;
    const int error = start(program_, input.descriptor(), process);
    check_input(error == 0, "--on-anomaly: {} cannot be run: {}", program_, std::strerror(error));
    const int status = wait(process);
    check_input(!WIFSIGNALED(status), "--on-anomaly: {} was ended by signal {}", program_, WTERMSIG(status));
    check_input(WEXITSTATUS(status) == 0, "--on-anomaly: {} ended with status {}", program_,
                WEXITSTATUS(status));
  }

 private:
  int wait(pid_t process) const {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience_);
    auto pause = std::chrono::milliseconds(1);
    int status = 0;
    while (waitpid(process, &status, WNOHANG) == 0) {
      if (Clock::now() > until) {
        kill(-process, SIGKILL);
        waitpid(process, &status, 0);
        fail_input("--on-anomaly: {} was ended because it took more than {} seconds", program_,
                   patience_.count());
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, std::chrono::milliseconds(50));
    }
    return status;
  }

  std::string program_;
  std::chrono::duration<double> patience_;
};

}  // namespace

std::unique_ptr<AlarmWay> alarm_by_command(const std::string& program, double seconds) {
  check_input(can_be_found(program),
              "--on-anomaly: {}: no such program; a command with arguments belongs into a script", program);
  return std::make_unique<Command>(program, seconds);
}

}  // namespace dinomaly
