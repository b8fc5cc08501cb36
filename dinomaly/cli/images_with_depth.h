// The images of a model with depth among the files that come: each with its depth, and without what belongs to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/companions.h"

namespace dinomaly {

// How long --watch waits for a depth that comes later than its image, or for the image of a depth.
inline constexpr std::chrono::milliseconds depth_wait{10000};

class ImagesWithDepth {
 public:
  explicit ImagesWithDepth(std::chrono::milliseconds wait = depth_wait) : wait_(wait) {}

  // Whether the file belongs to an image that exists; then it is counted.
  bool pass_over(const std::filesystem::path& file);
  // The file as an image with its depth, or with what is wrong: it has none, or is the depth or mask of an image that
  // is missing. None if it is passed over.
  std::optional<Picture> take(const std::filesystem::path& file);
  // The same for one that has just arrived: what it lacks may come later.
  std::optional<Picture> arrive(const std::filesystem::path& file);
  // One that waited, and what it lacked is there and whole or did not come in time.
  std::optional<Picture> due();

  // "3 depth files, 1 mask", or empty.
  std::string passed_over() const;
  // Those that still wait.
  std::vector<std::filesystem::path> waiting() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    std::filesystem::path file;
    Clock::time_point until;
  };
  std::chrono::milliseconds wait_;
  std::deque<Waiting> waiting_;
  std::map<CompanionKind, int64_t> counts_;
};

}  // namespace dinomaly
