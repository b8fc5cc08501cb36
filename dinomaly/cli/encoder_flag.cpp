#include "dinomaly/cli/encoder_flag.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "dinomaly/base/progress.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/base/stopwatch.h"
#include "dinomaly/weights/sharded_file.h"

namespace dinomaly {

namespace {

class DownloadLine {
 public:
  explicit DownloadLine(std::string name) : name_(std::move(name)), terminal_(isatty(STDERR_FILENO) != 0) {}
  ~DownloadLine() {
    if (open_) print_error("\n");
  }
  DownloadLine(const DownloadLine&) = delete;
  DownloadLine& operator=(const DownloadLine&) = delete;

  void print(int64_t done, int64_t total) {
    const bool whole = total > 0 && done == total;
    if (!whole && since_print_.seconds() < (terminal_ ? 0.2 : 10)) return;
    since_print_ = Stopwatch();
    const double megabyte = 1e6, speed = static_cast<double>(done - first_) / megabyte / watch_.seconds();
    print_error("{}{}: {} {:.0f} of {} MB  {:.1f} MB/s{}", terminal_ ? "\r" : "", name_,
                progress_bar(done, total), static_cast<double>(done) / megabyte,
                total > 0 ? std::to_string(total / 1'000'000) : "?", speed, terminal_ ? "   " : "\n");
    open_ = terminal_;
  }
  void start_at(int64_t done) {
    if (first_ < 0) first_ = done;
  }

 private:
  std::string name_;
  bool terminal_, open_ = false;
  int64_t first_ = -1;
  Stopwatch watch_, since_print_;
};

}  // namespace

DownloadProgress download_progress(const std::string& name) {
  const auto line = std::make_shared<DownloadLine>(name);
  return [line](int64_t done, int64_t total) {
    line->start_at(done);
    line->print(done, total);
  };
}

CLI::Option* add_offline_flag(CLI::App& command) {
  return command.add_flag("--offline")
      ->description("fetch no encoder: one that is asked for by name must be on this machine");
}

void take_encoder_names(CLI::App& command, CLI::Option* option) {
  const CLI::Option* offline = add_offline_flag(command);
  option->transform(CLI::Validator(
      [offline](std::string& text) {
        text = find_encoder(text, {.offline = offline->as<bool>()}).file.string();
        return std::string();
      },
      ""));
}

FoundEncoder find_encoder(const std::filesystem::path& encoder, FetchOptions options) {
  namespace fs = std::filesystem;
  const std::string name = encoder.string();
  std::error_code ignored;
  if (fs::is_regular_file(encoder, ignored) || find_weights_in_folder(encoder)) return {encoder};
  if (name.starts_with("dinov2-") && !fs::exists(encoder, ignored))
    named_encoder(name);  // says what was meant
  const NamedEncoder* named = find_named_encoder(name);
  if (named == nullptr) return {encoder};
  if (!options.progress) options.progress = download_progress(name);
  const StoredEncoder stored = fetch_encoder(*named, options);
  return {stored.file, name, stored.sha256};
}

}  // namespace dinomaly
