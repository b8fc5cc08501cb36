#include "dinomaly/cli/parse_flags.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// Of a misspelt flag CLI11 says less, or complains of the positional arguments that it takes its value for.
void check_flags(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const std::string& word : app.remaining(true)) {
    if (!word.starts_with("-") || word == "-" || word == "--") continue;
    const std::string flag = word.substr(0, word.find('='));
    fail_input("The following argument was not expected: {}{}", printable(flag), did_you_mean(flag, known));
  }
}

}  // namespace

bool parse_flags(CLI::App& app, int argc, char** argv, const std::string& version) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::CallForVersion&) {
    fmt::print("{} {}\n", app.get_name(), version);
  } catch (const CLI::Success&) {
    fmt::print("{}", app.help());
  } catch (const CLI::ParseError& error) {
    check_flags(app);
    fail_input("{}", error.what());
  }
  return false;
}

}  // namespace dinomaly
