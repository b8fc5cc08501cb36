// The encoder's features of all training pictures, computed once: the encoder is frozen and sees no
// augmentation, so a training step needs the bottleneck and the decoder only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/model.h"

namespace dinomaly {

struct FeatureOptions {
  // On a GPU features stay there while they take at most half of its free memory. Otherwise up to so many
  // bytes stay in the host's memory; more go to a memory-mapped file without a name in `folder`.
  size_t memory = SIZE_MAX;
  std::filesystem::path folder = ".";
  // Where features are kept for later runs, under a name made of what they depend on (feature_key).
  std::optional<std::filesystem::path> cache = {};
  bool bf16 = false;  // kept in half the bytes, and given back in the model's dtype
};

class FeatureStore {
 public:
  // Runs the encoder over all samples, `batch` at a time, and keeps what Dinomaly::encode() returns, in the
  // model's dtype: per picture T D + groups h w D values. With a cache that knows them, nothing is computed.
  // Throws InputError naming a picture that cannot be read, or a folder whose disk is full.
  FeatureStore(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch,
               const FeatureOptions& options = {});

  int64_t size() const { return all_.bottleneck_input.defined() ? all_.batch() : 0; }
  size_t bytes() const;
  // "in memory", "on cuda:0", "in a file", "from CACHE_FILE".
  const std::string& place() const { return place_; }
  // Those of the given pictures, in that order, in the model's dtype and on its device.
  Features gather(const std::vector<int64_t>& indices) const;

 private:
  bool load(const std::filesystem::path& path, int64_t count, size_t groups);
  void save(const std::filesystem::path& path) const;
  void compute(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch,
               const FeatureOptions& options);
  void make_room(const Features& first, int64_t count, const FeatureOptions& options);

  Features all_;
  Dtype given_ = Dtype::f32;  // of what gather() returns
  Device device_;             // the same
  std::string place_;
};

// SHA-256 of all that the features depend on: the pictures' bytes in their order, the encoder's weights, the
// preprocessing and what the config says about the features, the dtypes. Reads every picture.
std::string feature_key(const Dinomaly& model, const std::vector<Sample>& samples, bool bf16);

}  // namespace dinomaly
