// What a command reads, so that none of it is replaced by what the command writes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

class CommandFiles {
 public:
  // A file that the command reads. Empty, missing or no regular file: nothing.
  void reads(const std::filesystem::path& file);
  // Weights in any format, of a sharded file its shards, too. Throws InputError where that cannot be read.
  void reads_weights(const std::filesystem::path& file);
  // The data set's images with what belongs to them, and the lists that name them. All other images below its folder
  // count as read: other categories, or the training part.
  void reads_data(const std::filesystem::path& root, const Dataset& dataset);

  // Throws InputError naming flag and file where `file` is, by this name or another, one that the command reads, or
  // one that it writes for an earlier flag. To be called before the work.
  void check_output(const std::string& flag, const std::filesystem::path& file);
  // The same and prepare_target().
  void writes(const std::string& flag, const std::filesystem::path& file);

 private:
  using Identity = std::pair<dev_t, ino_t>;
  bool is_of_data(const std::filesystem::path& file) const;

  std::map<Identity, std::filesystem::path> inputs_;
  std::vector<std::filesystem::path> folders_;            // of data, canonical
  std::map<std::filesystem::path, std::string> outputs_;  // canonical -> flag
};

}  // namespace dinomaly
