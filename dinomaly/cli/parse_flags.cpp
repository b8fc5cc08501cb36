#include "dinomaly/cli/parse_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <string>
#include <type_traits>
#include <vector>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// What is wrong with the text of a number; it becomes one that CLI11 reads as it is meant, which takes 010 for 8, -1 for
// 2^64 - 1 where a number has no sign, and what is too large for the largest.
template <class Number>
std::string read_number(std::string& text) {
  if constexpr (std::is_floating_point_v<Number>) {
    const std::optional<double> number = parse_number(text);
    if (!number) return fmt::format("'{}' is {}", printable(text), why_no_number(text));
    text = fmt::format("{}", *number);
  } else {
    const std::optional<std::string> digits = whole_number(text);
    if (!digits) return fmt::format("'{}' is not a whole number", printable(text));
    if (std::is_unsigned_v<Number> && digits->starts_with('-'))
      return fmt::format("{} is negative", printable(*digits));
    Number number = 0;
    const bool fits =
        std::from_chars(digits->data(), digits->data() + digits->size(), number).ec == std::errc();
    if (!fits) return fmt::format("{} is too large a number", printable(*digits));
    text = *digits;
  }
  return "";
}

// Of the app and its commands.
void read_numbers_as_written(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string kind = option->get_type_name();
    if (kind.starts_with("INT")) option->transform(CLI::Validator(read_number<int64_t>, ""));
    if (kind.starts_with("UINT")) option->transform(CLI::Validator(read_number<uint64_t>, ""));
    if (kind.starts_with("FLOAT")) option->transform(CLI::Validator(read_number<double>, ""));
  }
  for (CLI::App* command : app.get_subcommands({})) read_numbers_as_written(*command);
}

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

// What CLI11 says of a flag without a value, or with several, in plain words.
[[noreturn]] void fail_by_count(const CLI::App& app, const std::string& said) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const std::string name = said.substr(0, said.find(':'));
  const CLI::Option* option = command->get_option_no_throw(name);
  if (option == nullptr) fail_input("{}", said);
  if (option->count() == 2) fail_input("{} is given twice", name);
  if (option->count() > 2) fail_input("{} is given {} times", name, option->count());
  const std::string type = option->get_type_name();
  const size_t colon = std::min(type.find(':'), type.size());
  const std::string kind = type.substr(0, colon), range = type.substr(colon);
  const bool is_whole = kind == "INT" || kind == "UINT";
  if (!is_whole && kind != "FLOAT") fail_input("{}: give a value", name);
  fail_input("{}: give a {}number{}", name, is_whole ? "whole " : "",
             range.empty() ? "" : " " + range.substr(1));
}

// An empty value is what a shell makes of a variable that is not set; taken for no flag at all it would be ignored.
void check_no_value_empty(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& value : option->results())
      check_input(!value.empty(), "{}: its value is empty", option->get_name());
  }
  for (const CLI::App* command : app.get_subcommands()) check_no_value_empty(*command);
}

}  // namespace

bool parse_flags(CLI::App& app, int argc, char** argv, const std::string& version) {
  read_numbers_as_written(app);
  try {
    app.parse(argc, argv);
    check_no_value_empty(app);
    return true;
  } catch (const CLI::CallForVersion&) {
    fmt::print("{} {}\n", app.get_name(), version);
  } catch (const CLI::Success&) {
    fmt::print("{}", app.help());
  } catch (const CLI::ExtrasError&) {  // whose message has them backwards
    check_flags(app);
    const std::vector<std::string> extras = app.remaining(true);
    fail_input("The following argument{} not expected: {}", extras.size() == 1 ? " was" : "s were",
               printable(fmt::format("{}", fmt::join(extras, " "))));
  } catch (const CLI::ArgumentMismatch& error) {
    check_flags(app);
    fail_by_count(app, error.what());
  } catch (const CLI::ParseError& error) {
    check_flags(app);
    fail_input("{}", error.what());
  }
  return false;
}

}  // namespace dinomaly
