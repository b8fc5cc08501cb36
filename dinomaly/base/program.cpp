#include "dinomaly/base/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// A standard stream that is closed would be the next file that is opened, and get the lines meant for it. Here it is a
// file that cannot be written.
void hold_standard_streams() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) static_cast<void>(open("/dev/null", O_RDONLY));
  }
}

std::atomic<bool> at_work{false};

// A library that gives up calls exit(1), as OpenMP's does without memory for its threads; but 1 is a verdict.
void end_as_failed() {
  if (at_work) _exit(3);
}

}  // namespace

void flush_output() {
  const bool failed = std::fflush(stdout) != 0;
  check_input(!failed, "standard output: cannot be written: {}", std::strerror(errno));
}

static int guarded(const std::string& name, const std::function<int()>& work) {
  const auto say = [&](const std::string& line, int status) {
    print_error("{}: {}\n", name, one_line(line));
    return status;
  };
  try {
    const int status = work();
    flush_output();
    return status;
  } catch (const InputError& error) {
    return say(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return say("out of memory", 3);
  } catch (const std::system_error& error) {  // fmt::print's
    if (std::ferror(stdout) != 0)
      return say("standard output: cannot be written: " + error.code().message(), 2);
    return say(fmt::format("internal error: {}", error.what()), 3);
  } catch (const std::exception& error) {
    return say(fmt::format("internal error: {}", error.what()), 3);
  }
}

int run_program(const std::string& name, const std::function<int()>& work) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in one pipe, lines and errors come in the order of events
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond a limit of file size is an error of that write
  hold_standard_streams();
  std::atexit(end_as_failed);
  at_work = true;
  const int status = guarded(name, work);
  at_work = false;
  return status;
}

}  // namespace dinomaly
