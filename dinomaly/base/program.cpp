#include "dinomaly/base/program.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

void flush_output() {
  const bool failed = std::fflush(stdout) != 0;
  check_input(!failed, "standard output: cannot be written: {}", std::strerror(errno));
}

int run_program(const std::string& name, const std::function<int()>& work) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in one pipe, lines and errors come in the order of events
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond a limit of file size is an error of that write
  const auto say = [&](const std::string& line, int status) {
    fmt::print(stderr, "{}: {}\n", name, one_line(line));
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

}  // namespace dinomaly
