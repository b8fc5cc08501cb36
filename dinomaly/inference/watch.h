// Images as they arrive in a folder.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "dinomaly/base/file_version.h"

struct inotify_event;

namespace dinomaly {

// Whether the file is an image with all of its bytes (check_image_file()).
bool is_whole(const std::filesystem::path& path);

class FolderWatch {
 public:
  using Warn = std::function<void(const std::string&)>;
  // Watches the folder and those below it, also those that come later, from now on; what is in them already is not
  // reported, but what a folder brings along that comes later is. Hidden folders and links to folders are left
  // out. Throws InputError naming the folder.
  explicit FolderWatch(const std::filesystem::path& folder);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Waits for the next image that somebody has closed after writing, moved or linked into the folder; none once
  // `stop` or `ended` says so. A file that is not whole yet is looked at again five times within six seconds,
  // and after that returned as it is. So is one that is not named as an image is, which may be about to be renamed;
  // after that its first bytes decide whether it is one. Throws InputError if the folder goes away. `warn` is called
  // with a line where images will be missed: a new folder cannot be watched, a link to a folder came, files of one more
  // extension are no images. Where more came at once than the system could report, the folders are listed again for what
  // is new.
  std::optional<std::filesystem::path> next(std::stop_token stop, const std::function<bool()>& ended,
                                            const Warn& warn = {});
  // What came and was not returned when next() ended: not whole yet, or not looked at; what is no image counts among
  // the others from then on.
  std::vector<std::filesystem::path> take_unfinished(const Warn& warn = {});
  // Links to folders, which lead to folders that are not watched: those found by the constructor.
  const std::vector<std::filesystem::path>& links() const { return links_; }
  // What came and was no image. The names are those of the first ten.
  int64_t other_count() const { return other_count_; }
  const std::vector<std::filesystem::path>& first_others() const { return first_others_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Arrival {
    std::filesystem::path path;
    int attempts = 0;
    Clock::time_point due;
  };
  // A program that renames a file before it closes it makes two events of one image.
  struct Content {
    std::filesystem::path path;
    FileVersion version;
    bool operator==(const Content&) const = default;
  };
  // Empty, or why the folder cannot be watched. `report`: images that are in it have arrived.
  std::string watch(const std::filesystem::path& folder, bool report, const Warn& warn);
  void forget(const std::filesystem::path& folder);
  void read_events(const Warn& warn);
  void take_event(const inotify_event& event, const Warn& warn);
  void arrived(const std::filesystem::path& path);
  void list_again(const Warn& warn);
  void add_other(const std::filesystem::path& path, const Warn& warn);
  std::optional<std::filesystem::path> take_due(const Warn& warn);

  std::filesystem::path folder_;
  int descriptor_ = -1;
  int root_ = -1;                                 // of folder_, in folders_
  std::map<int, std::filesystem::path> folders_;  // by inotify's number
  std::deque<Arrival> arrivals_;
  bool overflowed_ = false;
  int64_t all_read_at_ = 0;     // when no event was left; nanoseconds since 1970
  int64_t reported_since_ = 0;  // watch() reports what has changed since then
  std::vector<std::filesystem::path> links_;
  std::deque<Content> taken_;  // the last ones that were returned
  int64_t other_count_ = 0;
  std::vector<std::filesystem::path> first_others_;
  std::set<std::string> other_extensions_;  // that have been warned of
};

}  // namespace dinomaly
