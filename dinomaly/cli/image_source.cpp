#include "dinomaly/cli/image_source.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/data/companions.h"
#include "dinomaly/data/manta.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr size_t longest_line = 1 << 16;
constexpr int poll_milliseconds = 100;

void warn_of_watch(const std::string& line) { print_error("dinomaly: --watch: {}\n", one_line(line)); }

}  // namespace

// The next line that has come whole.
std::optional<std::string> InputLines::take() {
  if (!end_ && buffer_.find('\0') != std::string::npos) end_ = '\0';
  const size_t end = buffer_.find(end_.value_or('\n'));
  if (end == std::string::npos && (!ended_ || buffer_.empty())) return std::nullopt;
  if (!end_) end_ = '\n';
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  if (*end_ == '\0') return line;
  check_input(
      line.find('\0') == std::string::npos,
      "standard input: a NUL after lines; names end in NUL (find -print0) or in a new line, not in both");
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> InputLines::next(std::stop_token stop) {
  while (!stop.stop_requested() && StopSignal::number() == 0) {
    if (std::optional<std::string> line = take()) {
      if (!line->empty()) return line;
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
    // A watch has no end at which a mistyped name would be noticed.
    if (!watched.empty() && input != "-") check_exists(input, "file or folder");
    if (input == "-") {
      inputs_.push_back(input);
    } else if (is_folder(input)) {
      add_folder(input, watched);
    } else if (is_own_result(input)) {
      ++own_results_;
    } else {
      inputs_.push_back(input);
    }
  }
  check_input(!inputs_.empty() || own_results_ == 0, "no images: what is named are results of this program");
  if (known) total_ = static_cast<int64_t>(inputs_.size());
}

void ImageSource::add_folder(const std::string& input, const std::string& watched) {
  const FolderListing found = list_images(input);
  std::vector<fs::path> images = found.images;
  images.insert(images.end(), found.foreign.begin(), found.foreign.end());
  std::sort(images.begin(), images.end());
  const size_t masks = std::erase_if(images, is_mask_by_place);
  masks_ += static_cast<int64_t>(masks);
  std::error_code ignored;
  const bool may_be_empty = !watched.empty() && fs::equivalent(input, watched, ignored);
  check_input(!images.empty() || may_be_empty, "{}: no images in this folder{}{}", input,
              masks > 0 ? " but " + counted(static_cast<int64_t>(masks), "mask") : "",
              found.others.empty() ? "" : fmt::format("; other files: {}", count_and_names(found.others)));
  for (const fs::path& image : images) inputs_.push_back(image.string());
  others_.insert(others_.end(), found.others.begin(), found.others.end());
}

void ImageSource::take_depth(std::chrono::milliseconds wait) {
  with_depth_.emplace(wait);
  std::vector<fs::path> companions;
  std::erase_if(inputs_, [&](const std::string& input) {
    const bool passed_over = input != "-" && with_depth_->pass_over(input);
    if (passed_over) companions.push_back(input);
    return passed_over;
  });
  check_input(!inputs_.empty() || watch_,
              "no images: what is named belongs to images, which are to be named instead: {}",
              count_and_names(companions));
  std::erase_if(others_, [&](const fs::path& other) { return with_depth_->pass_over(other); });
  if (total_ > 0) total_ = static_cast<int64_t>(inputs_.size());
}

std::optional<fs::path> ImageSource::next_named(std::stop_token stop) {
  while (!inputs_.empty() && StopSignal::number() == 0) {
    if (inputs_.front() == "-") {
      if (const auto line = lines_.next(stop)) {
        any_line_ = true;
        if (!is_own_result(*line)) return *line;
        ++own_results_;
        continue;
      }
      if (stop.stop_requested() || StopSignal::number() != 0) return std::nullopt;
      check_input(any_line_ || watch_, "standard input is empty: it names no images");
      inputs_.pop_front();
      continue;
    }
    const fs::path path = inputs_.front();
    inputs_.pop_front();
    return path;
  }
  return std::nullopt;
}

std::optional<Picture> ImageSource::picture_of(const fs::path& file) {
  if (single_views_ && shows_views(file)) return refused_views(file);
  if (!with_depth_) return Picture(file);
  return watch_ ? with_depth_->arrive(file) : with_depth_->take(file);
}

std::optional<Picture> ImageSource::next_arrived(std::stop_token stop) {
  while (watch_) {
    std::optional<Picture> due;
    const auto ended = [&] {
      if (StopSignal::number() == 0 && with_depth_) due = with_depth_->due();
      return due || StopSignal::number() != 0;
    };
    const std::optional<fs::path> path = watch_->next(stop, ended, warn_of_watch);
    if (due || !path) return due;
    if (is_own_result(*path))
      ++own_results_;
    else if (is_mask_by_place(*path))
      ++masks_;
    else if (auto picture = picture_of(*path))
      return picture;
  }
  return std::nullopt;
}

std::optional<Picture> ImageSource::next(std::stop_token stop) {
  while (const auto path = next_named(stop)) {
    if (auto picture = picture_of(*path)) return picture;
  }
  return next_arrived(stop);
}

std::vector<fs::path> ImageSource::unfinished() {
  return watch_ ? watch_->take_unfinished(warn_of_watch) : std::vector<fs::path>();
}

std::string ImageSource::companions() const {
  std::string of_depth = with_depth_ ? with_depth_->passed_over() : "";
  if (masks_ == 0) return of_depth;
  return counted(masks_, "mask") + (of_depth.empty() ? "" : ", " + of_depth);
}

int64_t ImageSource::other_count() const {
  return static_cast<int64_t>(others_.size()) + (watch_ ? watch_->other_count() : 0);
}

std::string ImageSource::others_text() const {
  std::vector<fs::path> names = others_;
  if (watch_) names.insert(names.end(), watch_->first_others().begin(), watch_->first_others().end());
  return not_images(other_count(), names);
}

OutputNames::OutputNames(const std::vector<std::string>& inputs, const std::string& watched)
    : watched_(watched) {
  if (!watched.empty()) folders_.push_back(watched_);
  for (const std::string& input : inputs) {
    if (input != "-" && is_folder(input)) folders_.push_back(fs::path(input));
  }
}

fs::path OutputNames::relative(const fs::path& image) const {
  for (const fs::path& folder : folders_) {
    fs::path relative = image.lexically_relative(folder);
    if (!relative.empty() && *relative.begin() != "..") return relative;
  }
  return image.filename();
}

fs::path OutputNames::operator()(const fs::path& image) {
  const fs::path path = relative(image);
  fs::path name = path.parent_path() / path.stem();
  const fs::path in_watched = watched_.empty() ? fs::path() : image.lexically_relative(watched_);
  if (!in_watched.empty() && *in_watched.begin() != "..") return name;
  fs::path free = name;
  for (int n = 2; taken_.contains(free) && taken_[free] != image; ++n) {
    free = name;
    free += fmt::format("-{}", n);
  }
  taken_[free] = image;
  return free;
}

}  // namespace dinomaly
