#include "dinomaly/cli/command_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/weights/sharded_file.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

bool regular_status(const fs::path& file, struct stat& status) {
  return stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

fs::path canonical_of(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(path, error);
  return error ? path : result;
}

}  // namespace

void CommandFiles::reads(const fs::path& file) {
  struct stat status {};
  if (regular_status(file, status)) inputs_.emplace(Identity{status.st_dev, status.st_ino}, file);
}

void CommandFiles::reads_weights(const fs::path& file) {
  const fs::path weights = is_folder(file) ? weights_in_folder(file) : file;
  reads(weights);
  if (lower(weights.extension().string()) != ".json") return;
  for (const fs::path& shard : load_sharded_file(weights).shards) reads(shard);
}

void CommandFiles::reads_data(const fs::path& root, const Dataset& dataset) {
  reads(root);
  if (is_folder(root)) folders_.push_back(canonical_of(root));
  for (const Category& category : dataset.categories) {
    for (const std::vector<Sample>* samples : {&category.train, &category.test}) {
      for (const Sample& sample : *samples) {
        reads(sample.image);
        if (sample.mask) reads(*sample.mask);
        if (sample.depth) reads(*sample.depth);
        for (const fs::path& mask : sample.further_masks) reads(mask);
      }
    }
  }
}

bool CommandFiles::is_of_data(const fs::path& file) const {
  const fs::path path = canonical_of(file);
  for (const fs::path& folder : folders_) {
    const auto [rest, below] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    if (rest != folder.end() || below == path.end()) continue;
    if (*below == "split_csv" || *below == "realiad_jsons") return true;  // the lists of VisA and Real-IAD
    const FileKind kind = kind_of(path);
    if (kind == FileKind::image || kind == FileKind::foreign) return true;
  }
  return false;
}

void CommandFiles::check_output(const std::string& flag, const fs::path& file) {
  struct stat status {};
  if (regular_status(file, status)) {
    const auto input = inputs_.find({status.st_dev, status.st_ino});
    check_input(input == inputs_.end(),
                "{}: {} would replace {}, which this command reads; name another file", flag, file.string(),
                input == inputs_.end() ? "" : input->second.string());
    check_input(!is_of_data(file), "{}: {} is a file of the data; name another one", flag, file.string());
  }
  const OutputPlace place = output_place(file);
  if (!place.replaced) return;
  const auto [other, is_new] = outputs_.emplace(canonical_of(place.file), flag);
  check_input(is_new || other->second == flag, "{}: {} is also the file of {}", flag, file.string(),
              other->second);
}

void CommandFiles::writes(const std::string& flag, const fs::path& file) {
  check_output(flag, file);
  prepare_target(file);
}

}  // namespace dinomaly
