#include "dinomaly/inference/watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/image_format.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int most_attempts = 5;
constexpr size_t most_remembered = 64;                        // contents that were returned
constexpr size_t most_named = 10, most_extensions = 16;       // of files that are no images
constexpr auto first_delay = std::chrono::milliseconds(200);  // doubled each time: 6.2 seconds in all
constexpr int poll_milliseconds = 100;
constexpr uint64_t most_file_bytes = uint64_t{1} << 28;

constexpr uint32_t watched_events =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

bool is_hidden(const std::string& name) { return name.starts_with('.'); }

int64_t nanoseconds(const timespec& time) { return time.tv_sec * int64_t{1000000000} + time.tv_nsec; }

// Files bear the time of the system's last tick, which is a little behind.
int64_t time_of_files() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return nanoseconds(now);
}

int64_t changed_at(const std::filesystem::path& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0 ? nanoseconds(found.st_ctim) : 0;
}

// Of a file that has just been made: whether it is complete already, since nobody will close it after writing.
bool is_linked(const std::filesystem::path& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0 && (!S_ISREG(found.st_mode) || found.st_nlink > 1);
}

void warn_of_link(const std::filesystem::path& link, const FolderWatch::Warn& warn) {
  if (warn) warn(fmt::format("{} is a link to a folder, which is not watched", link.string()));
}

}  // namespace

bool is_whole(const std::filesystem::path& path) {
  try {
    check_image_file(path, read_file(path, most_file_bytes));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

FolderWatch::FolderWatch(const std::filesystem::path& folder) : folder_(folder) {
  std::error_code error;
  check_input(std::filesystem::is_directory(folder, error), "--watch: {} is not a folder", folder.string());
  all_read_at_ = time_of_files();
  descriptor_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  const std::string why = descriptor_ < 0 ? std::strerror(errno) : watch(folder, false, {});
  if (!why.empty()) {
    if (descriptor_ >= 0) close(descriptor_);
    fail_input("--watch: {}", why);
  }
}

FolderWatch::~FolderWatch() { close(descriptor_); }

void FolderWatch::arrived(const std::filesystem::path& path) {
  std::erase_if(arrivals_, [&](const Arrival& arrival) { return arrival.path == path; });
  arrivals_.push_back({path, 0, Clock::now()});
}

std::string FolderWatch::watch(const std::filesystem::path& folder, bool report, const Warn& warn) {
  // First: what comes while the folder is listed is reported twice rather than not at all.
  const int number = inotify_add_watch(descriptor_, folder.c_str(), watched_events);
  if (number < 0) return fmt::format("{} cannot be watched: {}", folder.string(), std::strerror(errno));
  if (folders_.empty()) root_ = number;
  folders_[number] = folder;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const bool link = it->is_symlink(ignored), hidden = is_hidden(it->path().filename().string());
    if (it->is_directory(ignored) && !link && !hidden) {
      if (std::string why = watch(it->path(), report, warn); !why.empty()) return why;
    } else if (it->is_directory(ignored)) {
      if (!hidden && report) warn_of_link(it->path(), warn);
      if (!hidden && !report) links_.push_back(it->path());
    } else if (report && !is_passed_over_name(it->path()) && changed_at(it->path()) >= reported_since_) {
      arrived(it->path());
    }
  }
  return error ? fmt::format("{} cannot be listed: {}", folder.string(), error.message()) : "";
}

// It has been moved away, with those below it.
void FolderWatch::forget(const std::filesystem::path& folder) {
  for (auto it = folders_.begin(); it != folders_.end();) {
    const auto [end, at] = std::mismatch(folder.begin(), folder.end(), it->second.begin(), it->second.end());
    if (end != folder.end()) {
      ++it;
      continue;
    }
    inotify_rm_watch(descriptor_, it->first);
    it = folders_.erase(it);
  }
}

void FolderWatch::take_event(const inotify_event& event, const Warn& warn) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) overflowed_ = true;
  const auto found = folders_.find(event.wd);
  if (found == folders_.end()) return;
  if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
    check_input(event.wd != root_, "--watch: the folder {} is gone", folder_.string());
    if ((event.mask & IN_MOVE_SELF) == 0) folders_.erase(found);  // its old folder tells of a move
    return;
  }
  if (event.len == 0) return;
  const std::filesystem::path path = found->second / event.name;
  std::error_code ignored;
  if ((event.mask & IN_ISDIR) == 0 && std::filesystem::is_directory(path, ignored)) {
    if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0 && !is_hidden(event.name)) warn_of_link(path, warn);
  } else if ((event.mask & IN_ISDIR) == 0) {
    const bool written = (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
    if (!is_passed_over_name(path) && (written || ((event.mask & IN_CREATE) != 0 && is_linked(path))))
      arrived(path);
  } else if ((event.mask & IN_MOVED_FROM) != 0) {
    forget(path);
  } else if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0 && !is_hidden(event.name)) {
    const std::string why = watch(path, true, warn);
    if (!why.empty() && std::filesystem::exists(path, ignored) && warn) warn(why);
  }
}

void FolderWatch::read_events(const Warn& warn) {
  const int64_t now = time_of_files();
  alignas(inotify_event) char buffer[16384];
  for (ssize_t size; (size = read(descriptor_, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      take_event(*event, warn);
    }
  }
  if (overflowed_) list_again(warn);
  all_read_at_ = now;
}

// For what the system did not report.
void FolderWatch::list_again(const Warn& warn) {
  overflowed_ = false;
  reported_since_ = all_read_at_;
  const std::string why = watch(folder_, true, warn);
  reported_since_ = 0;
  if (!why.empty() && warn) warn(why + "; files that came may have been missed");
}

void FolderWatch::add_other(const std::filesystem::path& path, const Warn& warn) {
  ++other_count_;
  if (first_others_.size() < most_named) first_others_.push_back(path);
  const std::string extension = path.extension().string();
  if (other_extensions_.size() >= most_extensions || !other_extensions_.insert(extension).second) return;
  const std::string others =
      extension.empty() ? "others without an extension" : "other files of " + extension;
  if (warn)
    warn(fmt::format("{} is no image and not judged; {} like it are only counted", path.string(), others));
}

std::optional<std::filesystem::path> FolderWatch::take_due(const Warn& warn) {
  const auto now = Clock::now();
  for (auto arrival = arrivals_.begin(); arrival != arrivals_.end(); ++arrival) {
    if (arrival->due > now) continue;
    const bool named_so = is_image_name(arrival->path);
    if (arrival->attempts < most_attempts && (!named_so || !is_whole(arrival->path))) {
      arrival->due = now + first_delay * (1 << arrival->attempts++);
      continue;
    }
    const std::filesystem::path path = arrival->path;
    arrivals_.erase(arrival);
    const Content content{path, file_version(path)};
    const bool known =
        content.version.inode != 0 && std::find(taken_.begin(), taken_.end(), content) != taken_.end();
    std::error_code ignored;
    if (known || (!named_so && !std::filesystem::is_regular_file(path, ignored))) return take_due(warn);
    const bool other = kind_of(path) == FileKind::other;
    if (other) add_other(path, warn);
    taken_.push_back(content);
    if (taken_.size() > most_remembered) taken_.pop_front();
    if (other) return take_due(warn);
    return path;
  }
  return std::nullopt;
}

std::optional<std::filesystem::path> FolderWatch::next(std::stop_token stop,
                                                       const std::function<bool()>& ended, const Warn& warn) {
  while (!stop.stop_requested() && !ended()) {
    read_events(warn);
    if (auto path = take_due(warn)) return path;
    pollfd waiting{descriptor_, POLLIN, 0};
    poll(&waiting, 1, poll_milliseconds);
  }
  return std::nullopt;
}

std::vector<std::filesystem::path> FolderWatch::take_unfinished(const Warn& warn) {
  read_events(warn);
  std::vector<std::filesystem::path> unfinished;
  for (const Arrival& arrival : arrivals_) {
    std::error_code ignored;
    const Content content{arrival.path, file_version(arrival.path)};
    const bool known = std::find(taken_.begin(), taken_.end(), content) != taken_.end();
    if (known || !std::filesystem::is_regular_file(arrival.path, ignored)) continue;
    const FileKind kind = kind_of(arrival.path);
    if (kind == FileKind::other)
      add_other(arrival.path, warn);
    else if (kind != FileKind::passed_over)
      unfinished.push_back(arrival.path);
  }
  arrivals_.clear();
  return unfinished;
}

}  // namespace dinomaly
