// Images as they arrive in a folder.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

namespace dinomaly {

class FolderWatch {
 public:
  // Watches from now on; what is in the folder already is not reported. Throws InputError naming the folder.
  explicit FolderWatch(const std::filesystem::path& folder);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Waits for the next image that somebody has closed after writing or moved into the folder; none once
  // `stop` or `ended` says so. A file that is not whole yet is looked at again five times within six seconds,
  // and after that returned as it is. Throws InputError if the folder goes away. `lost` is called where more
  // files came than the system could report.
  std::optional<std::filesystem::path> next(std::stop_token stop, const std::function<bool()>& ended,
                                            const std::function<void()>& lost = {});

 private:
  using Clock = std::chrono::steady_clock;
  struct Arrival {
    std::filesystem::path path;
    int attempts = 0;
    Clock::time_point due;
  };
  void read_events(const std::function<void()>& lost);
  void arrived(const std::filesystem::path& path);
  std::optional<std::filesystem::path> take_due();

  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::deque<Arrival> arrivals_;
};

}  // namespace dinomaly
