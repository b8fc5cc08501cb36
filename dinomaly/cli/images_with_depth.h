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

#include "dinomaly/base/file_version.h"
#include "dinomaly/data/companions.h"

namespace dinomaly {

// How long --watch waits for a depth that comes later than its image, or for the image of a depth. An image that comes
// again under its name waits for a depth that is written again: the old one shows the part before.
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
  // An image that was given away, and its depth.
  struct Given {
    std::filesystem::path image;
    FileVersion version, depth;
  };
  bool is_complete(const std::filesystem::path& file) const;
  bool has_old_depth(const std::filesystem::path& image) const;
  std::optional<Picture> give(const std::filesystem::path& file);
  std::chrono::milliseconds wait_;
  std::deque<Waiting> waiting_;
  std::deque<Given> given_;  // the last ones that arrived
  std::map<CompanionKind, int64_t> counts_;
};

}  // namespace dinomaly
