// Files as whole byte strings: reading with a bound, writing so that a half-written file is never seen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace dinomaly {

// Throws InputError where nothing of this name is found: "no such WHAT", or why it cannot be looked at (a folder above it
// may not be entered). A link to nothing is nothing.
void check_exists(const std::filesystem::path& path, const char* what);
// The same for a file, and "not a regular file": opening a pipe would block, and a device has no end.
void check_regular_file(const std::filesystem::path& path);

// The bytes of a regular file. Throws InputError naming the file if it is missing, no regular file (a folder,
// a pipe), not readable or larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes);

// Writes `path` whole or not at all (AtomicFile), a device or pipe directly; missing folders are made. Throws
// InputError naming the file.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Makes the folder and its parents if they are missing. Throws InputError naming it if that is impossible or
// if files cannot be written there, and for "-", by which users mean standard output.
void make_folder(const std::filesystem::path& path);

// Removes files of `folder` that a killed program left under the temporary name of an AtomicFile; those of
// programs that still run stay.
void remove_temporaries(const std::filesystem::path& folder);

// Removes folders that a killed program left under a temporary_name() of `path`; those of programs that still run stay.
void remove_temporary_folders(const std::filesystem::path& path);

// A name beside `path`, different in every process and at every call, for a file or folder that is renamed
// once it is whole.
std::filesystem::path temporary_name(const std::filesystem::path& path);

// Checks, before long work starts, that its result can be written to `path`; makes the folder if it is
// missing. Throws InputError naming the file if the folder cannot be made or written to, if `path`
// is a folder or "-", or if it may not be replaced (output_place()).
void prepare_target(const std::filesystem::path& path);

// False also if its status cannot be read.
bool is_folder(const std::filesystem::path& path);

// A-Z become a-z; other letters stay.
std::string lower(std::string text);

}  // namespace dinomaly
