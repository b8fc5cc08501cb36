// The memory that features are kept in: in the model's dtype, in bf16 or in int8, on the GPU, in the host's
// memory or in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

// model: as the encoder gives them. bf16: rounded, 2 bytes a number. int8: each token of D numbers as D
// integers from -127 to 127 and one f32 scale, largest magnitude / 127.
enum class FeatureDtype { model, bf16, int8 };
// "model", "bf16", "int8".
std::string name_of(FeatureDtype dtype);
std::optional<FeatureDtype> parse_feature_dtype(const std::string& name);

// The bottleneck's input, then the groups.
std::vector<Tensor> parts_of(const Features& features);

class FeatureTable {
 public:
  FeatureTable() = default;
  // Room for `count` images whose features are shaped as `example` and come from `device`. On a GPU while
  // they take at most half of its free memory (not int8); else up to `memory` bytes in the host's memory;
  // else in a mapped file without a name in `folder`, of which at most about `memory` bytes stay mapped in.
  // Throws InputError naming a folder whose disk is full.
  FeatureTable(const Features& example, int64_t count, FeatureDtype dtype, Device device, size_t memory,
               const std::filesystem::path& folder);
  // From a file of tensors(). Throws InputError where it holds anything else.
  FeatureTable(const SafeTensors& file, int64_t count, size_t groups, FeatureDtype dtype, Device device,
               size_t memory);

  size_t bytes() const;
  // "in memory", "on cuda:0", "in a file", "from FILE".
  const std::string& place() const { return place_; }

  // Keeps row i of `features` as image indices[i].
  void put(const std::vector<int64_t>& indices, const Features& features);
  // Those of the given images, in that order.
  Features get(const std::vector<int64_t>& indices, Dtype dtype, Device device);
  NamedTensors tensors() const;

 private:
  // One tensor (count, T, D); of int8 the integers, as u8, and their scales (count, T).
  struct Rows {
    Tensor values, scales;
  };
  void put_row(Rows& rows, int64_t index, const Tensor& row);
  Tensor get_rows(const Rows& rows, const std::vector<int64_t>& indices) const;
  void touched(size_t images);

  FeatureDtype dtype_ = FeatureDtype::model;
  std::vector<Rows> rows_;  // the bottleneck's input, then the groups
  int64_t count_ = 0, grid_rows_ = 0, grid_columns_ = 0;
  size_t memory_ = SIZE_MAX, touched_ = 0;  // bytes of a mapped file since its pages were last given back
  std::string place_;
};

}  // namespace dinomaly
