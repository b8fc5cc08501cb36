#include "dinomaly/download/encoder_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/weights/encoder_hash.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path noted_hash_of(const fs::path& file) { return file.string() + ".sha256"; }

// Waits for other processes that fetch the same file. The empty file of the lock stays: who removed it would leave
// two processes with one lock each.
class FetchLock {
 public:
  explicit FetchLock(const fs::path& file)
      : descriptor_(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    check_input(descriptor_ >= 0, "{}: cannot be written: {}", file.string(), std::strerror(errno));
    if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    print_error("{}: waiting for another process that fetches it\n", file.stem().string());
    while (flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FetchLock() { close(descriptor_); }
  FetchLock(const FetchLock&) = delete;
  FetchLock& operator=(const FetchLock&) = delete;

 private:
  int descriptor_;
};

// Throws InputError where the file is no encoder, or another than its name says.
void check_shape(const NamedEncoder& encoder, const fs::path& file, const std::string& source) {
  const auto explain = [&](const std::string& fault) {
    fail_input("{}: is not {}: {}", source, encoder.name, fault);
  };
  EncoderConfig config;
  try {
    const WeightsFile weights = load_weights_file(file);
    config = load_encoder(weights.tensors, weights.source(), any_heads, weights.skipped).config;
  } catch (const InputError& error) {
    const std::string text = error.what(), name = file.string() + ": ";
    explain(text.starts_with(name) ? text.substr(name.size()) : text);
  }
  if (config.width != encoder.width || config.depth != encoder.depth || config.registers != encoder.registers)
    explain(fmt::format("it has width {}, {} blocks and {} registers instead of {}, {} and {}", config.width,
                        config.depth, config.registers, encoder.width, encoder.depth, encoder.registers));
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
}

// "HEX  FILE", as sha256sum writes it; empty if nothing was noted.
std::string noted_hash(const fs::path& file) {
  const fs::path note = noted_hash_of(file);
  if (!fs::exists(note)) return "";
  const std::string text = read_file(note, 1 << 12);
  const std::string hash = lower(text.substr(0, text.find_first_of(" \n")));
  check_input(is_sha256(hash),
              "{}: holds no SHA-256: remove it, and the encoder's file if you do not trust it",
              note.string());
  return hash;
}

void note_hash(const fs::path& file, const std::string& hash) {
  write_file(noted_hash_of(file), hash + "  " + file.filename().string() + "\n");
}

// Of what is had from `source`, where one was asked for.
void check_pinned(const std::string& source, const std::string& found,
                  const std::optional<std::string>& pinned) {
  if (!pinned) return;
  check_input(found == lower(*pinned),
              "{}: its SHA-256 is {}, not {} as asked for (--sha256, or encoder_sha256 of a config file)",
              source, found, printable(*pinned));
}

// The file that is there already; returns its hash.
std::string check_stored(const fs::path& file, const std::optional<std::string>& pinned) {
  const std::string found = file_sha256(file), noted = noted_hash(file);
  if (!noted.empty())
    check_input(found == noted,
                "{}: its SHA-256 is {}, not {} as when it was fetched: remove it, and it is fetched again",
                file.string(), found, printable(noted));
  check_pinned(file.string(), found, pinned);
  if (!noted.empty()) return found;
  try {
    note_hash(file, found);
  } catch (const InputError&) {  // a store that others keep
  }
  return found;
}

// Returns the file's hash.
std::string fetch(const NamedEncoder& encoder, const fs::path& file, const FetchOptions& options) {
  const std::string address = address_of(encoder);
  const fs::path part = file.string() + ".part";
  if (options.downloader)
    options.downloader(address, part);
  else
    download(address, part, options.progress, options.limits);
  std::error_code ignored, failed;
  try {
    check_shape(encoder, part, address);
    const std::string found = file_sha256(part);
    check_pinned(address, found, options.sha256);
    note_hash(file, found);
    fs::rename(part, file, failed);
    check_input(!failed, "{}: cannot be written: {}", file.string(), failed.message());
    return found;
  } catch (...) {
    for (const fs::path& left : {part, noted_hash_of(file)}) fs::remove(left, ignored);
    throw;
  }
}

}  // namespace

fs::path encoder_store() {
  if (const std::string home = variable("DINOMALY_HOME"); !home.empty()) return home;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "dinomaly";
  const std::string home = variable("HOME");
  check_input(!home.empty(), "encoders by name: neither DINOMALY_HOME nor XDG_CACHE_HOME nor HOME is set");
  return fs::path(home) / ".cache" / "dinomaly";
}

fs::path stored_file(const NamedEncoder& encoder) { return encoder_store() / encoder.file_name(); }

std::string address_of(const NamedEncoder& encoder) {
  std::string mirror = variable("DINOMALY_MIRROR");
  if (mirror.empty()) return std::string(encoder.address);
  check_input(mirror.find("://") != std::string::npos,
              "DINOMALY_MIRROR: '{}' is no address that begins with http://, https:// or file:///",
              printable(mirror));
  while (mirror.ends_with('/')) mirror.pop_back();
  return mirror + "/" + std::string(encoder.file_name());
}

bool is_stored(const NamedEncoder& encoder) {
  const fs::path file = stored_file(encoder);
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) return false;
  check_input(status.type() != fs::file_type::none, "{}: {}", file.string(), error.message());
  check_input(fs::is_regular_file(status), "{}: is no file", file.string());
  return true;
}

StoredEncoder fetch_encoder(const NamedEncoder& encoder, const FetchOptions& options) {
  if (options.sha256)
    check_input(is_sha256(*options.sha256), "--sha256, encoder_sha256: '{}' is not 64 hexadecimal digits",
                printable(*options.sha256));
  const fs::path file = stored_file(encoder);
  const std::string offline = variable("DINOMALY_OFFLINE");
  const bool may_fetch = !options.offline && (offline.empty() || offline == "0");
  check_input(may_fetch || is_stored(encoder),
              "{}: is not on this machine, and --offline or DINOMALY_OFFLINE forbids fetching it; {} would "
              "be its file",
              encoder.name, file.string());
  if (!is_stored(encoder)) {
    make_folder(file.parent_path());
    const FetchLock lock(file.string() + ".lock");
    if (!is_stored(encoder)) return {file, fetch(encoder, file, options)};
  }
  return {file, check_stored(file, options.sha256)};
}

std::string verify_encoder(const NamedEncoder& encoder) {
  const fs::path file = stored_file(encoder);
  check_input(is_stored(encoder), "{}: is not on this machine: dinomaly encoder fetch {}", encoder.name,
              encoder.name);
  const std::string found = check_stored(file, std::nullopt);
  check_shape(encoder, file, file.string());
  return found;
}

}  // namespace dinomaly
