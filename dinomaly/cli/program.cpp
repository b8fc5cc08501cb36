#include "dinomaly/cli/program.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <new>

#include "tensor/error.h"

namespace dinomaly {

int run_program(const std::string& name, const std::function<int()>& work) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond a limit of file size is an error of that write
  try {
    return work();
  } catch (const CLI::Success&) {
    return 0;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 2;
  } catch (const InputError& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory\n", name);
    return 3;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: internal error: {}\n", name, error.what());
    return 3;
  }
}

}  // namespace dinomaly
