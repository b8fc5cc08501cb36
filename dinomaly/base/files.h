// Files as whole byte strings: reading with a bound, writing so that a half-written file is never seen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace dinomaly {

// The bytes of a regular file. Throws InputError naming the file if it is missing, no regular file (a folder,
// a pipe), not readable or larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes);

// Writes `path` whole or not at all (AtomicFile); missing folders are made. Throws InputError naming the
// file.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Makes the folder, with those above it, where it is missing. Throws InputError naming it if that is
// impossible or files cannot be written there.
void make_folder(const std::filesystem::path& path);

// Removes files of `folder` that a killed program left under the temporary name of an AtomicFile; those of
// programs that still run stay.
void remove_temporaries(const std::filesystem::path& folder);

// A name beside `path`, different in every process and at every call, for something that is renamed when
// whole.
std::filesystem::path temporary_name(const std::filesystem::path& path);

// For a file that long work will end in: makes its folder where it is missing. Throws InputError naming the
// file where it could not be written: the folder cannot be made or written to, or a folder stands at `path`.
void prepare_target(const std::filesystem::path& path);

// False where nothing can be found out about it, too.
bool is_folder(const std::filesystem::path& path);

// A-Z become a-z; other letters stay.
std::string lower(std::string text);

}  // namespace dinomaly
