#include "dinomaly/training/feature_store.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/data/file_hashes.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/weights/encoder_hash.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace fs = std::filesystem;

std::string feature_key(const Dinomaly& model, const std::vector<Sample>& samples, FeatureDtype dtype) {
  const Config& config = model.config();
  const Dtype computed = model.encoder().parameters().front().dtype();
  nlohmann::json key = {{"version", 2},
                        {"encoder", encoder_sha256(model.encoder().state_dict(), computed)},
                        {"heads", model.encoder().config().heads},
                        {"dtype", std::string(name_of(computed))},
                        {"kept", name_of(dtype)},
                        {"images", hashes_of_files(samples)}};
  // The preset decides how images are resized and how the position table is interpolated.
  const nlohmann::json options = config.to_json();
  for (const char* name :
       {"preset", "target_blocks", "encoder_groups", "remove_class_token", "recentering", "resize_h",
        "resize_w", "crop_h", "crop_w", "mean", "std", "exif_orientation", "bit_depth"}) {
    key[name] = options.at(name);
  }
  if (config.with_depth) key["with_depth"] = true;
  return sha256_of(key.dump());
}

FeatureStore::FeatureStore(const Dinomaly& model, std::vector<Sample> samples, int64_t batch,
                           const FeatureOptions& options)
    : model_(model),
      samples_(std::move(samples)),
      batch_(batch),
      options_(options),
      dtype_(model.encoder().parameters().front().dtype()),
      device_(model.encoder().parameters().front().device()),
      is_encoded_(samples_.size()),
      is_checked_(samples_.size()) {
  if (samples_.empty()) return;
  if (options_.augment) {
    augmented_ = std::make_unique<AugmentedImages>(model.config(), samples_, options_.memory);
    return;
  }
  if (options_.cache) {
    make_folder(*options_.cache);
    cached_as_ = *options_.cache / (feature_key(model, samples_, options_.dtype) + ".safetensors");
    if (load_cache(cached_as_)) return;
  }
  expect({});
}

bool FeatureStore::load_cache(const fs::path& path) {
  if (!fs::exists(path)) return false;
  try {
    const size_t groups = model_.config().encoder_groups.size();
    table_ = FeatureTable(SafeTensors::load(path), size(), groups, options_.dtype, device_, options_.memory);
  } catch (const InputError& error) {
    print_error("feature cache: {}; the features are recomputed\n", error.what());
    return false;
  }
  is_encoded_.assign(samples_.size(), true);
  computed_ = size();
  is_cached_ = true;
  return true;
}

void FeatureStore::save_cache() const {
  remove_temporaries(cached_as_.parent_path());  // features are large
  try {
    save_safetensors(cached_as_, table_.tensors(), {{"kind", "dinomaly features"}});
  } catch (const InputError& error) {  // the run can do without
    print_error("feature cache: {}; the features are not kept for later runs\n", error.what());
  }
}

void FeatureStore::expect(const std::vector<int64_t>& order) {
  std::vector<int64_t> all = order;
  for (int64_t index = 0; index < size(); ++index) all.push_back(index);
  expect_only(all);
}

void FeatureStore::expect_only(const std::vector<int64_t>& order) {
  if (is_complete()) return;
  std::vector<bool> listed = is_encoded_;
  std::vector<int64_t> once;
  for (const int64_t index : order) {
    if (listed.at(static_cast<size_t>(index))) continue;
    listed[static_cast<size_t>(index)] = true;
    once.push_back(index);
  }
  read_in_order(std::move(once));
}

void FeatureStore::read_in_order(std::vector<int64_t> order) {
  order_ = std::move(order);
  images_.reset();
  position_ = 0;
  std::vector<Picture> pictures;
  for (const int64_t index : order_) pictures.push_back(picture_of(samples_[static_cast<size_t>(index)]));
  images_ = std::make_unique<ReadAhead>(
      in_order(std::move(pictures)),
      [&](const Image& rgb) { return preprocess(rgb, model_.config().image).unsqueeze(0); },
      ReadAheadOptions{.most_ahead = static_cast<size_t>(batch_),
                       .readers = readers_for(device_),
                       .pixels = model_.config().image.pixels,
                       .keep = no_pixels});
}

void FeatureStore::encode_next() {
  const auto start = std::chrono::steady_clock::now();
  const size_t count = std::min(static_cast<size_t>(batch_), order_.size() - position_);
  const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(position_);
  const std::vector<int64_t> indices(begin, begin + static_cast<std::ptrdiff_t>(count));
  check(count > 0, "feature store: an image that is asked for could not be read earlier");
  position_ += count;
  const std::vector<InputImage> images = images_->next_batch(batch_);
  check_readable(images);
  // A run that is resumed meets the images in another order, and shall go on with the same bits. Products
  // may round a row differently when it has other neighbours: a CPU takes each image by itself, at 4
  // percent more time (ViT-S, against 16 at a time); a GPU takes batches of one size.
  if (device_.is_cpu()) {
    for (size_t i = 0; i < count; ++i) keep({indices[i]}, model_.encode_raw(images[i].inputs));
  } else {
    std::vector<Tensor> filled(static_cast<size_t>(batch_), images[0].inputs);
    for (size_t i = 0; i < count; ++i) filled[i] = images[i].inputs;
    keep(indices, model_.encode_raw(cat(filled, 0)));
  }
  if (is_complete()) finish();
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The quantisation to int8 would hide what is not finite.
void FeatureStore::check_features(const std::vector<int64_t>& indices, const Features& features,
                                  const std::string& why) const {
  const auto all_finite = [](const Features& some) {
    return is_finite(some.bottleneck_input) && std::all_of(some.encoded.begin(), some.encoded.end(),
                                                           [](const Tensor& x) { return is_finite(x); });
  };
  if (all_finite(features)) return;
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    Features one{features.bottleneck_input.select(0, row), {}};
    for (const Tensor& group : features.encoded) one.encoded.push_back(group.select(0, row));
    check_input(all_finite(one), "{}: the encoder's features of it are not finite ({})",
                samples_[static_cast<size_t>(indices[i])].image.string(), why);
  }
}

// When they are first asked for: a look at all of them would read a file that may be larger than the memory.
void FeatureStore::check_cached(const std::vector<int64_t>& indices, const Features& features) {
  const auto is_checked = [&](int64_t index) { return is_checked_[static_cast<size_t>(index)]; };
  if (std::all_of(indices.begin(), indices.end(), is_checked)) return;
  check_features(indices, features, fmt::format("they are from {}: delete it", cached_as_.string()));
  for (const int64_t index : indices) is_checked_[static_cast<size_t>(index)] = true;
}

void FeatureStore::keep(const std::vector<int64_t>& indices, const Features& features) {
  check_features(indices, features, "a number inside of it overflowed");
  if (computed_ == 0)
    table_ = FeatureTable(features, size(), options_.dtype, device_, options_.memory, options_.folder);
  table_.put(indices, features);
  for (const int64_t index : indices)
    is_encoded_[static_cast<size_t>(index)] = is_checked_[static_cast<size_t>(index)] = true;
  computed_ += static_cast<int64_t>(indices.size());
}

void FeatureStore::finish() {
  images_.reset();
  backend_for(device_).trim();  // the encoder rests from now on
  if (!cached_as_.empty()) save_cache();
}

void FeatureStore::take(int64_t index, const Features& features) {
  if (is_encoded_.at(static_cast<size_t>(index))) return;
  keep({index}, features);
  if (is_complete()) finish();
}

void FeatureStore::complete() {
  while (!is_complete()) {
    if (position_ == order_.size()) expect({});
    encode_next();
  }
}

Features FeatureStore::gather(const std::vector<int64_t>& indices, int64_t iteration) {
  return model_.whitened(gather_raw(indices, iteration));
}

Features FeatureStore::gather_raw(const std::vector<int64_t>& indices, int64_t iteration) {
  if (augmented_) {
    const auto start = std::chrono::steady_clock::now();
    Features features = model_.encode_raw(augmented_->batch(indices, iteration));
    check_features(indices, features, "a number inside of it overflowed");
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return features;
  }
  for (const int64_t index : indices) {
    const auto is_listed = [&] {
      return std::find(order_.begin() + static_cast<std::ptrdiff_t>(position_), order_.end(), index) !=
             order_.end();
    };
    if (!is_encoded_.at(static_cast<size_t>(index)) && !is_listed()) expect_only({index});
    while (!is_encoded_[static_cast<size_t>(index)]) encode_next();
  }
  Features features = table_.get(indices, dtype_, device_);
  check_cached(indices, features);
  return features;
}

}  // namespace dinomaly
