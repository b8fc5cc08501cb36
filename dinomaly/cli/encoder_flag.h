// --encoder and --offline in every command: a file, or the name of an encoder.
#pragma once

#include <filesystem>
#include <string>

#include "dinomaly/download/encoder_store.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dinomaly {

struct FoundEncoder {
  std::filesystem::path file;
  std::string name = {}, sha256 = {};  // of an encoder by name and of its file; else empty
};

// What --encoder says: a name of dinomaly/download/named_encoders.h becomes the stored file, fetched where it is not there,
// with progress on standard error unless `options` says otherwise; anything else, and a file that has such a name, stays.
// Throws InputError.
FoundEncoder find_encoder(const std::filesystem::path& encoder, FetchOptions options);

// --offline, of every command that takes an encoder's name.
CLI::Option* add_offline_flag(CLI::App& command);
// Makes of what is given for `option` the file that find_encoder() finds, when it is parsed. Adds --offline.
void take_encoder_names(CLI::App& command, CLI::Option* option);

// Prints how much of `name` is there, on a terminal as a line that is rewritten, elsewhere as a line every ten seconds.
DownloadProgress download_progress(const std::string& name);

}  // namespace dinomaly
