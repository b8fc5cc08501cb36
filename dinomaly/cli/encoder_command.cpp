// dinomaly encoder list|fetch|path|verify: encoders by name.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/cli/commands.h"
#include "dinomaly/cli/encoder_flag.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

namespace fs = std::filesystem;

int list() {
  fmt::print("{:<18} {:>6} {:>7} {:>10} {:>8}  {}\n", "name", "width", "blocks", "registers", "MB", "file");
  for (const NamedEncoder& encoder : named_encoders()) {
    const fs::path file = stored_file(encoder);
    fmt::print("{:<18} {:>6} {:>7} {:>10} {:>8}  {}\n", encoder.name, encoder.width, encoder.depth,
               encoder.registers, encoder.megabytes, is_stored(encoder) ? file.string() : "not fetched");
  }
  return 0;
}

int verify(const std::vector<std::string>& names) {
  std::vector<const NamedEncoder*> wanted;
  for (const std::string& name : names) wanted.push_back(&named_encoder(name));
  for (const NamedEncoder& encoder : named_encoders()) {
    if (names.empty() && is_stored(encoder)) wanted.push_back(&encoder);
  }
  check_input(!wanted.empty(), "encoder verify: {} holds none", encoder_store().string());
  for (const NamedEncoder* encoder : wanted)
    fmt::print("{}: {} is whole, SHA-256 {}\n", encoder->name, stored_file(*encoder).string(),
               verify_encoder(*encoder));
  return 0;
}

}  // namespace

void add_encoder(CLI::App& app, Work& work) {
  struct Options {
    std::string name, sha256;
    std::vector<std::string> names;
    bool offline = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("encoder", "encoders by name: list, fetch, path, verify");
  command->require_subcommand(1);
  command->footer(
      "Example: dinomaly encoder fetch dinov2-small-reg\n"
      "They are kept in $DINOMALY_HOME, else $XDG_CACHE_HOME/dinomaly, else ~/.cache/dinomaly. "
      "DINOMALY_MIRROR=URL names a "
      "folder of copies to fetch from (http, https or file), DINOMALY_OFFLINE=1 forbids fetching. Proxies: "
      "https_proxy, no_proxy.");
  CLI::App* lists = command->add_subcommand("list", "the names, and what of them is on this machine");
  lists->footer("Example: dinomaly encoder list");
  lists->callback([&work] { work.first = list; });
  CLI::App* fetches =
      command->add_subcommand("fetch", "fetch an encoder, as --encoder NAME does when it is first used");
  fetches->add_option("NAME", options->name, "see list")->required();
  fetches->add_option("--sha256", options->sha256, "what the file must have, in hexadecimal");
  fetches->add_flag("--offline", options->offline, "only say whether it is there");
  fetches->callback([options, &work] {
    work.first = [options] {
      FetchOptions fetch{.offline = options->offline, .progress = download_progress(options->name)};
      if (!options->sha256.empty()) fetch.sha256 = options->sha256;
      fmt::print("{}\n", fetch_encoder(named_encoder(options->name), fetch).file.string());
      return 0;
    };
  });
  CLI::App* paths =
      command->add_subcommand("path", "print where an encoder's file is; status 2 if it is not there");
  paths->add_option("NAME", options->name, "see list")->required();
  paths->footer("Example: dinomaly encoder path dinov2-small-reg");
  paths->callback([options, &work] {
    work.first = [options] {
      const NamedEncoder& encoder = named_encoder(options->name);
      check_input(is_stored(encoder), "{}: is not on this machine: dinomaly encoder fetch {}", encoder.name,
                  encoder.name);
      fmt::print("{}\n", stored_file(encoder).string());
      return 0;
    };
  });
  CLI::App* verifies =
      command->add_subcommand("verify", "read files again: whole, and as they were when fetched");
  verifies->add_option("NAMES", options->names, "see list (default: all that are there)");
  verifies->footer("Example: dinomaly encoder verify dinov2-small-reg");
  verifies->callback([options, &work] { work.first = [options] { return verify(options->names); }; });
}

}  // namespace dinomaly
