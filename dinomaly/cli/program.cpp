#include "dinomaly/cli/program.h"

#include <CLI/CLI.hpp>
#include <new>

#include "tensor/error.h"

namespace dinomaly {

int run_program(const std::string& name, const std::function<int()>& work) {
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
