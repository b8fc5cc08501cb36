#include "dinomaly/base/files.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <optional>
#include <regex>
#include <system_error>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace dinomaly {

namespace fs = std::filesystem;

void check_exists(const fs::path& path, const char* what) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check_input(status.type() != fs::file_type::not_found, "{}: no such {}", path.string(), what);
  check_input(fs::exists(status), "{}: cannot read: {}", path.string(), error.message());
}

void check_regular_file(const fs::path& path) {
  check_exists(path, "file");
  std::error_code error;
  check_input(fs::is_regular_file(path, error), "{}: not a regular file", path.string());
}

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  check_regular_file(path);
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  check_input(!error, "{}: cannot read: {}", path.string(), error.message());
  check_input(size <= max_bytes, "{}: {} bytes are more than the limit of {}", path.string(), size,
              max_bytes);

  std::ifstream stream(path, std::ios::binary);
  check_input(stream.is_open(), "{}: cannot open for reading", path.string());
  std::string bytes(size, '\0');
  stream.read(bytes.data(), static_cast<std::streamsize>(size));
  check_input(static_cast<uint64_t>(stream.gcount()) == size, "{}: cannot read all {} bytes", path.string(),
              size);
  return bytes;
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  check_input(!error, "{}: cannot make its folder: {}", path.string(), error.message());
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

fs::path temporary_name(const fs::path& path) {
  static std::atomic<uint64_t> count{0};
  const std::string name = fmt::format(".{}.{}-{}.tmp", path.filename().string(), getpid(), count++);
  return path.parent_path() / name;
}

// The program that gave a file or folder this temporary name.
static std::optional<pid_t> writer_of(const std::string& name) {
  static const std::regex temporary(R"(.+\.([0-9]{1,9})-[0-9]+\.tmp)");
  std::smatch parts;
  if (!std::regex_match(name, parts, temporary)) return std::nullopt;
  return std::stoi(parts[1]);
}

static bool has_ended(pid_t program) { return kill(program, 0) != 0 && errno == ESRCH; }

void remove_temporaries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const std::optional<pid_t> writer = writer_of(it->path().filename().string());
    if (!writer || !it->is_regular_file(ignored)) continue;
    if (*writer == getpid() || has_ended(*writer)) found.push_back(it->path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

void remove_temporary_folders(const fs::path& path) {
  const std::string start = "." + path.filename().string() + ".";
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(start)) continue;
    // What stands between is a number alone: ".set.old.12-0.tmp" is not of "set".
    const std::optional<pid_t> writer = writer_of(name);
    const bool of_path = writer && name.starts_with(fmt::format("{}{}-", start, *writer));
    if (of_path && has_ended(*writer) && it->symlink_status(error).type() == fs::file_type::directory)
      found.push_back(it->path());
  }
  for (const fs::path& folder : found) fs::remove_all(folder, error);
}

void make_folder(const std::filesystem::path& path) {
  check_input(path != "-", "'-': standard output is no folder; ./- is one of that name");
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check_input(!error && std::filesystem::is_directory(path), "{}: cannot make this folder: {}", path.string(),
              error ? error.message() : "it is a file");
  check_input(access(path.c_str(), W_OK) == 0, "{}: cannot write into this folder", path.string());
}

void prepare_target(const fs::path& path) {
  check_input(path != "-", "'-': this cannot go to standard output; name a file (./- for one of that name)");
  std::error_code error;
  check_input(!fs::is_directory(path, error), "{}: is a folder", path.string());
  const OutputPlace place = output_place(path);
  if (!place.replaced) return;
  const fs::path folder = place.file.has_parent_path() ? place.file.parent_path() : fs::path(".");
  fs::create_directories(folder, error);
  check_input(!error && fs::is_directory(folder, error), "{}: cannot make its folder: {}", path.string(),
              error ? error.message() : "it is a file");
  check_input(access(folder.c_str(), W_OK) == 0, "{}: cannot write into its folder", path.string());
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string lower(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
  }
  return text;
}

}  // namespace dinomaly
