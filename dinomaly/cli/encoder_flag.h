// --encoder in every command: a file, or the name of an encoder.
#pragma once

#include <filesystem>

#include "dinomaly/download/encoder_store.h"

namespace CLI {
class Option;
}

namespace dinomaly {

// What --encoder says as a file: a name of dinomaly/download/named_encoders.h becomes the stored file, fetched with
// progress on standard error where it is not there; anything else, and a file that has such a name, stays. Throws InputError.
std::filesystem::path encoder_file_of(const std::filesystem::path& encoder);

// Makes of what is given for `option` encoder_file_of() it, when it is parsed.
void take_encoder_names(CLI::Option* option);

// Prints how much of `name` is there, on a terminal as a line that is rewritten, elsewhere as a line every ten seconds.
DownloadProgress download_progress(const std::string& name);

}  // namespace dinomaly
