// The encoder's features of all training images, each computed once: the encoder is frozen and sees no
// augmentation, so that a training step needs the bottleneck and the decoder only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/model/model.h"
#include "dinomaly/training/augmented_images.h"
#include "dinomaly/training/feature_table.h"

namespace dinomaly {

struct FeatureOptions {
  // On a GPU features stay there while they take at most half of its free memory. Otherwise up to so many
  // bytes stay in the host's memory; more go to a memory-mapped file without a name in `folder`.
  size_t memory = SIZE_MAX;
  std::filesystem::path folder = ".";
  // Where features are kept for later runs, under a name made of what they depend on (feature_key).
  std::optional<std::filesystem::path> cache = {};
  FeatureDtype dtype = FeatureDtype::model;
  // Few-shot training: images are varied (augmented_images.h), so none of their features is kept.
  bool augment = false;
};

// An image is encoded when it is first asked for, with those that follow it in the expected order, while the
// next ones are read and decoded: training begins with its first batch and computes what it needs, when it
// needs it, for as long as its first epoch lasts.
class FeatureStore {
 public:
  // Images are encoded `batch` at a time. With a cache that knows them, none is. `model` must outlive the
  // store. Throws InputError naming a cache's folder that cannot be made.
  FeatureStore(const Dinomaly& model, std::vector<Sample> samples, int64_t batch,
               const FeatureOptions& options = {});

  const std::vector<Sample>& samples() const { return samples_; }
  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  // The order in which images will be asked for; those it leaves out come last. Without it: 0, 1, 2, ...
  void expect(const std::vector<int64_t>& order);
  // The same without any others: those are encoded one by one where they are asked for all the same.
  void expect_only(const std::vector<int64_t>& order);
  // What Dinomaly::encode() returns of the given images, in that order, in the model's dtype and on its
  // device. Throws InputError naming an image that cannot be read or whose features are not finite (and the
  // cache's file they are from), or a folder whose disk is full. Images that are augmented are varied as in
  // `iteration` of training: its own way each, the same whenever it is asked for.
  Features gather(const std::vector<int64_t>& indices, int64_t iteration = 0);
  // The same of Dinomaly::encode_raw(). That is what is kept, so that a cache serves models with any whitening.
  Features gather_raw(const std::vector<int64_t>& indices, int64_t iteration = 0);
  // Encodes whatever is not yet, and keeps it for later runs where there is a cache.
  void complete();
  // Keeps what another process has encoded, as gather_raw() returns it.
  void take(int64_t index, const Features& features);
  // The model's whitening of what gather_raw() returns.
  Features whitened(const Features& raw) const { return model_.whitened(raw); }

  bool is_augmented() const { return augmented_ != nullptr; }
  // Whether all features came from a cache's file.
  bool is_cached() const { return is_cached_; }

  bool is_complete() const { return augmented_ || computed_ == size(); }
  // How many images are there, what they take, and where; and the seconds spent on encoding so far.
  int64_t computed() const { return computed_; }
  size_t bytes() const { return table_.bytes(); }
  const std::string& place() const { return table_.place(); }
  double seconds() const { return seconds_; }

 private:
  bool load_cache(const std::filesystem::path& path);
  void read_in_order(std::vector<int64_t> order);
  void save_cache() const;
  void encode_next();
  void check_features(const std::vector<int64_t>& indices, const Features& features,
                      const std::string& why) const;
  void check_cached(const std::vector<int64_t>& indices, const Features& features);
  void keep(const std::vector<int64_t>& indices, const Features& features);
  void finish();

  const Dinomaly& model_;
  std::vector<Sample> samples_;
  int64_t batch_;
  FeatureOptions options_;
  std::filesystem::path cached_as_;  // empty: no cache
  Dtype dtype_ = Dtype::f32;         // of what gather() returns
  Device device_;                    // the same

  std::unique_ptr<AugmentedImages> augmented_;  // in place of all that follows
  FeatureTable table_;
  std::vector<bool> is_encoded_, is_checked_;  // the latter: known to be finite
  bool is_cached_ = false;
  int64_t computed_ = 0;
  double seconds_ = 0;
  std::vector<int64_t> order_;  // of encoding
  size_t position_ = 0;         // in order_
  std::unique_ptr<ReadAhead> images_;
};

// SHA-256 of all that the features depend on: the images' bytes in their order, the encoder's weights, the
// preprocessing and what the config says about the features, the dtypes. Reads every image.
std::string feature_key(const Dinomaly& model, const std::vector<Sample>& samples, FeatureDtype dtype);

}  // namespace dinomaly
