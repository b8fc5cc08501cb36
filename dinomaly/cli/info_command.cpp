// dinomaly info FILE: what a checkpoint is.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/report/describe_file.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

using nlohmann::json;

std::string plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

// "name: value" lines, then the objects, indented below their names.
void print_lines(const json& object, int indent) {
  const auto nested = [](const json& value) { return value.is_object() && !value.empty(); };
  for (const auto& [name, value] : object.items()) {
    if (!nested(value) && !value.is_null()) fmt::print("{:{}}{}: {}\n", "", indent, name, plain(value));
  }
  for (const auto& [name, value] : object.items()) {
    if (!nested(value)) continue;
    fmt::print("{:{}}{}:\n", "", indent, name);
    print_lines(value, indent + 2);
  }
}

}  // namespace

void add_info(CLI::App& app, Work& work) {
  struct Options {
    std::filesystem::path file;
    DescribeOptions what;
    bool as_json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("info", "describe a weights file");
  command->footer("Example: dinomaly info out/model.safetensors --json");
  take_encoder_names(
      *command, command
                    ->add_option("FILE", options->file,
                                 "an encoder (or its name) or a trained Dinomaly: safetensors, .pth, .ckpt")
                    ->required());
  command->add_option("--heads", options->what.heads, "attention heads, if FILE does not say")
      ->check(from_to(0, 4096));
  command->add_flag("--tensors", options->what.tensors, "list every tensor with dtype and shape");
  command->add_flag("--json", options->as_json, "print one JSON object");
  command->callback([options, &work] {
    work.first = [options] {
      const json description = short_numbers(describe_file(options->file, options->what), printed_digits);
      if (options->as_json)
        fmt::print("{}\n", json_text(description, 2));
      else
        print_lines(description, 0);
      return 0;
    };
  });
}

}  // namespace dinomaly
