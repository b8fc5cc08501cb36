// The checkpoints of a training run: written aside and renamed, with a checksum, the last two kept.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "dinomaly/base/framework.h"
#include "nn/module.h"

namespace dinomaly {

using Texts = std::map<std::string, std::string>;

struct Checkpoint {
  std::filesystem::path path;
  int64_t iteration = 0;
  std::map<std::string, Tensor> tensors;
  Texts texts;

  const std::string& text(const std::string& name) const;  // empty where there is none
};

class CheckpointFolder {
 public:
  // The folder is made by the first save().
  explicit CheckpointFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Writes ITERATION.safetensors, then removes all but the two latest, and those of later iterations: damaged
  // ones, which were passed over. Throws InputError naming the file where that fails (a full disk); those
  // before stay, and no part of the new one does.
  void save(int64_t iteration, const NamedTensors& tensors, const Texts& texts) const;

  // The latest whole checkpoint, if any; damaged ones are reported on standard error and passed over. Throws
  // InputError naming file and tensor where it is not finite.
  std::optional<Checkpoint> latest() const;

  // Whether there is any checkpoint, be it damaged.
  bool holds_any() const { return !files().empty(); }

  // Removes all checkpoints, and files that killed programs left.
  void clear() const;

 private:
  std::map<int64_t, std::filesystem::path> files() const;

  std::filesystem::path folder_;
};

}  // namespace dinomaly
