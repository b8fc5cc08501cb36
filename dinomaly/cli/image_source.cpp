#include "dinomaly/cli/image_source.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr size_t longest_line = 1 << 16;
constexpr int poll_milliseconds = 100;

}  // namespace

std::optional<std::string> InputLines::next(std::stop_token stop) {
  while (!stop.stop_requested() && StopSignal::number() == 0) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos || (ended_ && !buffer_.empty())) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) return line;
      continue;
    }
    if (ended_) return std::nullopt;
    check_input(buffer_.size() <= longest_line, "standard input: a line of more than {} bytes is no path",
                longest_line);
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    if (poll(&waiting, 1, poll_milliseconds) <= 0) continue;
    char bytes[4096];
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
    if (size > 0) buffer_.append(bytes, static_cast<size_t>(size));
    if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN)) ended_ = true;
  }
  return std::nullopt;
}

ImageSource::ImageSource(const std::vector<std::string>& inputs, const std::string& watched) {
  check_input(!inputs.empty() || !watched.empty(), "no images: name files, a folder, '-' or --watch FOLDER");
  check_input(std::count(inputs.begin(), inputs.end(), "-") <= 1, "'-' (standard input) is named twice");
  if (!watched.empty()) watch_.emplace(watched);  // first: what arrives while folders are listed is not lost
  bool known = watched.empty();
  for (const std::string& input : inputs) {
    known = known && input != "-";
    if (input == "-" || !is_folder(input)) {
      inputs_.push_back(input);
      continue;
    }
    const std::vector<fs::path> images = list_images(input);
    std::error_code ignored;
    const bool may_be_empty = !watched.empty() && fs::equivalent(input, watched, ignored);
    check_input(!images.empty() || may_be_empty, "{}: no images (png, jpg, jpeg, bmp) in this folder", input);
    for (const fs::path& image : images) inputs_.push_back(image.string());
  }
  if (known) total_ = static_cast<int64_t>(inputs_.size());
}

std::optional<fs::path> ImageSource::next(std::stop_token stop) {
  while (!inputs_.empty() && StopSignal::number() == 0) {
    if (inputs_.front() == "-") {
      if (const auto line = lines_.next(stop)) return *line;
      if (stop.stop_requested()) return std::nullopt;
      inputs_.pop_front();
      continue;
    }
    const fs::path path = inputs_.front();
    inputs_.pop_front();
    return path;
  }
  if (!watch_) return std::nullopt;
  return watch_->next(
      stop, [] { return StopSignal::number() != 0; },
      [] { fmt::print(stderr, "dinomaly: --watch: too many images at once; some were missed\n"); });
}

OutputNames::OutputNames(const std::vector<std::string>& inputs, const std::string& watched)
    : watched_(watched) {
  for (const std::string& input : inputs) {
    if (input != "-" && is_folder(input)) folders_.push_back(fs::path(input));
  }
}

fs::path OutputNames::operator()(const fs::path& image) {
  fs::path name = image.filename();
  for (const fs::path& folder : folders_) {
    const fs::path relative = image.lexically_relative(folder);
    if (!relative.empty() && *relative.begin() != "..") {
      name = relative;
      break;
    }
  }
  name = name.parent_path() / name.stem();
  if (!watched_.empty() && image.parent_path() == watched_) return name;
  fs::path free = name;
  for (int n = 2; taken_.contains(free) && taken_[free] != image; ++n) {
    free = name;
    free += fmt::format("-{}", n);
  }
  taken_[free] = image;
  return free;
}

}  // namespace dinomaly
