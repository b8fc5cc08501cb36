#include "dinomaly/base/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
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

char program_name[64] = "";

// An exception that left a thread, OpenMP's among them, or came while another one was being reported: for want of memory
// above all, so that nothing is allocated here.
[[noreturn]] void end_in_one_line() {
  std::string_view before = "internal error", what;
  const std::exception_ptr error = std::current_exception();
  try {
    if (error) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    before = "out of memory";
  } catch (const OutOfMemory& lack) {
    before = lack.what();
  } catch (const std::exception& other) {
    what = other.what();
  } catch (...) {
  }
  for (const std::string_view part :
       {std::string_view(program_name), std::string_view(": "), before,
        std::string_view(what.empty() ? "" : ": "), what.substr(0, what.find('\n')), std::string_view("\n")})
    static_cast<void>(!write(STDERR_FILENO, part.data(), part.size()));
  _exit(3);
}

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
  } catch (const OutOfMemory& error) {
    return say(error.what(), 3);
  } catch (const DeviceFault& error) {
    return say(error.what(), 3);
  } catch (const std::bad_alloc&) {
    return say("out of memory", 3);
  } catch (const std::system_error& error) {  // fmt::print's, and of threads, whose stacks are memory
    if (std::ferror(stdout) != 0)
      return say("standard output: cannot be written: " + error.code().message(), 2);
    if (error.code() == std::errc::resource_unavailable_try_again)
      return say("out of memory, or of processes: a thread cannot be started", 3);
    if (error.code() == std::errc::not_enough_memory) return say("out of memory", 3);
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
  name.copy(program_name, sizeof program_name - 1);
  std::set_terminate(end_in_one_line);
  at_work = true;
  const int status = guarded(name, work);
  at_work = false;
  return status;
}

}  // namespace dinomaly
