#include "dinomaly/inference/watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/image_format.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int most_attempts = 5;
constexpr auto first_delay = std::chrono::milliseconds(200);  // doubled each time: 6.2 seconds in all
constexpr int poll_milliseconds = 100;
constexpr uint64_t most_file_bytes = uint64_t{1} << 28;

bool is_whole(const std::filesystem::path& path) {
  try {
    check_image_file(path, read_file(path, most_file_bytes));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace

FolderWatch::FolderWatch(const std::filesystem::path& folder) : folder_(folder) {
  std::error_code error;
  check_input(std::filesystem::is_directory(folder, error), "--watch: {} is not a folder", folder.string());
  descriptor_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  const int watched = descriptor_ < 0
                          ? -1
                          : inotify_add_watch(descriptor_, folder.c_str(),
                                              IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
  if (watched < 0) {
    const std::string why = std::strerror(errno);
    if (descriptor_ >= 0) close(descriptor_);
    fail_input("--watch: {} cannot be watched: {}", folder.string(), why);
  }
}

FolderWatch::~FolderWatch() { close(descriptor_); }

void FolderWatch::arrived(const std::filesystem::path& path) {
  std::erase_if(arrivals_, [&](const Arrival& arrival) { return arrival.path == path; });
  arrivals_.push_back({path, 0, Clock::now()});
}

void FolderWatch::read_events(const std::function<void()>& lost) {
  alignas(inotify_event) char buffer[16384];
  for (ssize_t size; (size = read(descriptor_, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      check_input((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) == 0,
                  "--watch: the folder {} is gone", folder_.string());
      if ((event->mask & IN_Q_OVERFLOW) != 0 && lost) lost();
      if (event->len > 0 && is_image_name(event->name)) arrived(folder_ / event->name);
    }
  }
}

std::optional<std::filesystem::path> FolderWatch::take_due() {
  const auto now = Clock::now();
  for (auto arrival = arrivals_.begin(); arrival != arrivals_.end(); ++arrival) {
    if (arrival->due > now) continue;
    if (arrival->attempts < most_attempts && !is_whole(arrival->path)) {
      arrival->due = now + first_delay * (1 << arrival->attempts++);
      continue;
    }
    const std::filesystem::path path = arrival->path;
    arrivals_.erase(arrival);
    return path;
  }
  return std::nullopt;
}

std::optional<std::filesystem::path> FolderWatch::next(std::stop_token stop,
                                                       const std::function<bool()>& ended,
                                                       const std::function<void()>& lost) {
  while (!stop.stop_requested() && !ended()) {
    read_events(lost);
    if (auto path = take_due()) return path;
    pollfd waiting{descriptor_, POLLIN, 0};
    poll(&waiting, 1, poll_milliseconds);
  }
  return std::nullopt;
}

}  // namespace dinomaly
