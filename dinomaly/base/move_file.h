// A file changes its folder.
#pragma once

#include <filesystem>

namespace dinomaly {

// Moves the file `from` to `to`, across file systems too, and returns where it is: where `to` exists already, "-2",
// "-3", ... is added to its stem, so that no file is ever overwritten. Missing folders are made. Throws InputError
// naming the file; then `from` is still there, and nothing half-copied anywhere.
std::filesystem::path move_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace dinomaly
