// The program `dinomaly` run as a child of a test, which may kill it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

// `flags` are words without quotes; `name` is a program of the build, called in the `environment`, "NAME=VALUE".
class Child {
 public:
  Child(const TemporaryFolder& folder, const std::string& flags, const std::string& name = "dinomaly",
        std::string environment = "") {
    std::istringstream stream("dinomaly " + flags);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const std::string program = std::string(DINOMALY_BINARY_DIR) + "/bin/" + name;
    out_ = folder / "child.out", error_ = folder / "child.error";
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(error_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    setenv("OMP_NUM_THREADS", "1", 1);
    if (!environment.empty()) putenv(environment.data());
    execv(program.c_str(), arguments.data());
    _exit(9);
  }
  ~Child() {
    if (!ended()) end_with(SIGKILL);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool ended() { return status_ >= 0 || waitpid(pid_, &status_, WNOHANG) == pid_; }
  // Sends the signal and returns what waitpid says of the end.
  int end_with(int signal) {
    if (!ended()) {
      kill(pid_, signal);
      waitpid(pid_, &status_, 0);
    }
    return status_;
  }
  pid_t pid() const { return pid_; }
  bool has_output() const { return std::filesystem::exists(out_); }  // it has started
  std::string out() const { return read_file(out_, 1 << 20); }
  std::string error() const { return read_file(error_, 1 << 20); }
  // Whether `predict --watch` has said that it watches: what comes from now on is judged.
  bool is_watching() const {
    return std::filesystem::exists(error_) && error().find("watching") != std::string::npos;
  }

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  std::filesystem::path out_, error_;
};

}  // namespace dinomaly
