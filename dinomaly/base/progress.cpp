#include "dinomaly/base/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "dinomaly/base/standard_error.h"

namespace dinomaly {

std::string progress_bar(int64_t done, int64_t total) {
  if (total <= 0) return "";
  constexpr int64_t width = 20;
  const int64_t full = std::clamp<int64_t>(width * done / total, 0, width);
  return fmt::format("[{}{}]", std::string(static_cast<size_t>(full), '#'),
                     std::string(static_cast<size_t>(width - full), '.'));
}

Progress::Progress(std::string what, int64_t total, double interval)
    : what_(std::move(what)), total_(total), interval_(interval), terminal_(isatty(STDERR_FILENO) == 1) {
  if (interval_ <= 0) interval_ = terminal_ ? 0.2 : 10;
}

Progress::~Progress() { make_room(); }

void Progress::make_room() {
  if (line_open_) print_error("\r\x1b[K");
  line_open_ = false;
}

void Progress::advance(int64_t images) {
  done_ += images;
  if (since_print_.seconds() >= interval_) print();
}

void Progress::print() {
  const double rate = static_cast<double>(done_) / watch_.seconds();
  std::string line = fmt::format("{}: {}", what_, done_);
  if (total_ > 0) line += fmt::format("/{}", total_);
  line += fmt::format(" images  {:.1f} images/s", rate);
  if (total_ > 0) {
    line += fmt::format("  {} left", format_duration(static_cast<double>(total_ - done_) / rate));
    if (terminal_) line += "  " + progress_bar(done_, total_);
  }
  print_error("{}{}{}", terminal_ ? "\r" : "", line, terminal_ ? "\x1b[K" : "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
  since_print_ = {};
}

}  // namespace dinomaly
