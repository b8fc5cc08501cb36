#include "dinomaly/training/feature_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

const char* const names[] = {"model", "bf16", "int8"};

// Memory of a file that has no name, so that nothing is left of it however the program ends.
std::shared_ptr<void> map_nameless_file(const fs::path& folder, size_t bytes) {
  make_folder(folder);
  std::string name = (folder / "features-XXXXXX").string();
  const int file = mkostemp(name.data(), O_CLOEXEC);
  check_input(file >= 0, "{}: cannot create a file: {}", folder.string(), std::strerror(errno));
  unlink(name.c_str());
  // The room is taken now: a disk that fills up later would end the program in the middle of a write.
  const int fault = posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* data = fault == 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  const int reason = fault == 0 ? errno : fault;
  close(file);
  check_input(data != MAP_FAILED, "{}: no room for {:.1f} GB of features: {}", folder.string(),
              static_cast<double>(bytes) / 1e9, std::strerror(reason));
  return {data, [bytes](void* memory) { munmap(memory, bytes); }};
}

Shape with_rows(const Tensor& batch, int64_t count) {
  Shape shape = batch.shape();
  shape[0] = count;
  return shape;
}

// The rest of the memory is for training.
bool fits_on_gpu(Device device, size_t bytes) {
  return !device.is_cpu() && bytes <= backend_for(device).allocator().available() / 2;
}

std::string part_name(size_t part) {
  return part == 0 ? "bottleneck_input" : fmt::format("group.{}", part - 1);
}

// x (T, D) of f32 to integers and scales.
void quantise(const Tensor& x, const Tensor& values, const Tensor& scales) {
  const int64_t width = x.size(1);
  const float* from = x.data<float>();
  auto* to = reinterpret_cast<int8_t*>(values.data<uint8_t>());
  for (int64_t token = 0; token < x.size(0); ++token, from += width, to += width) {
    float largest = 0;
    for (int64_t j = 0; j < width; ++j) largest = std::max(largest, std::abs(from[j]));
    scales.data<float>()[token] = largest / 127;
    const float inverse = largest > 0 ? 127 / largest : 0;
    for (int64_t j = 0; j < width; ++j) to[j] = static_cast<int8_t>(std::lrint(from[j] * inverse));
  }
}

// values (N, T, D) as integers times scales (N, T) -> (N, T, D) of f32.
Tensor restored(const Tensor& values, const Tensor& scales) {
  Tensor result = Tensor::empty(values.shape());
  const auto* from = reinterpret_cast<const int8_t*>(values.data<uint8_t>());
  const int64_t width = values.size(2), tokens = scales.numel();
  for (int64_t token = 0; token < tokens; ++token) {
    const float scale = scales.data<float>()[token];
    for (int64_t i = token * width; i < (token + 1) * width; ++i) {
      result.data<float>()[i] = scale * static_cast<float>(from[i]);
    }
  }
  return result;
}

}  // namespace

std::string name_of(FeatureDtype dtype) { return names[static_cast<size_t>(dtype)]; }

std::optional<FeatureDtype> parse_feature_dtype(const std::string& name) {
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<FeatureDtype>(found - std::begin(names));
}

std::vector<Tensor> parts_of(const Features& features) {
  std::vector<Tensor> parts{features.bottleneck_input};
  parts.insert(parts.end(), features.encoded.begin(), features.encoded.end());
  return parts;
}

FeatureTable::FeatureTable(const Features& example, int64_t count, FeatureDtype dtype, Device device,
                           size_t memory, const fs::path& folder)
    : dtype_(dtype),
      count_(count),
      grid_rows_(example.rows),
      grid_columns_(example.columns),
      memory_(memory) {
  const bool integers = dtype == FeatureDtype::int8;
  const Dtype kept = integers                      ? Dtype::u8
                     : dtype == FeatureDtype::bf16 ? Dtype::bf16
                                                   : example.bottleneck_input.dtype();
  struct Room {
    Shape shape;
    Dtype dtype;
    // Up to where the next one may begin.
    size_t bytes() const {
      constexpr size_t alignment = 64;
      const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(dtype);
      return (bytes + alignment - 1) / alignment * alignment;
    }
  };
  const std::vector<Tensor> parts = parts_of(example);
  std::vector<Room> rooms;
  for (const Tensor& part : parts) rooms.push_back({with_rows(part, count), kept});
  if (integers) {
    for (const Tensor& part : parts) rooms.push_back({{count, part.size(1)}, Dtype::f32});
  }
  size_t total = 0;
  for (const Room& room : rooms) total += room.bytes();
  const bool on_gpu = !integers && fits_on_gpu(device, total), in_memory = on_gpu || total <= memory;
  place_ = on_gpu ? "on " + device.to_string() : in_memory ? "in memory" : "in a file";
  const std::shared_ptr<void> file = in_memory ? nullptr : map_nameless_file(folder, total);
  std::vector<Tensor> tensors;
  size_t offset = 0;
  for (const Room& room : rooms) {
    tensors.push_back(in_memory ? Tensor::empty(room.shape, room.dtype, on_gpu ? device : Device::cpu())
                                : Tensor::wrap(static_cast<std::byte*>(file.get()) + offset, room.shape,
                                               room.dtype, file, Device::cpu(), true));
    offset += room.bytes();
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    rows_.push_back({tensors[i], integers ? tensors[parts.size() + i] : Tensor()});
  }
}

FeatureTable::FeatureTable(const SafeTensors& file, int64_t count, size_t groups, FeatureDtype dtype,
                           Device device, size_t memory)
    : dtype_(dtype), count_(count), memory_(memory), place_("from " + file.path().string()) {
  const auto grid = file.get("grid").to_vector<int64_t>();
  check_input(grid.size() == 2, "{}: no features", file.path().string());
  grid_rows_ = grid[0], grid_columns_ = grid[1];
  const bool integers = dtype == FeatureDtype::int8;
  for (size_t i = 0; i <= groups; ++i) {
    Rows rows{file.get(part_name(i)), integers ? file.get(part_name(i) + ".scale") : Tensor()};
    bool fits = rows.values.rank() == 3 && rows.values.size(0) == count;
    if (fits && i > 0) {
      fits = rows.values.shape() == Shape{count, grid_rows_ * grid_columns_, rows_[0].values.size(2)} &&
             rows.values.dtype() == rows_[0].values.dtype();
    }
    if (fits && integers) {
      fits = rows.values.dtype() == Dtype::u8 && rows.scales.dtype() == Dtype::f32 &&
             rows.scales.shape() == Shape{count, rows.values.size(1)};
    }
    check_input(fits, "{}: the features have other shapes", file.path().string());
    rows_.push_back(std::move(rows));
  }
  if (integers || !fits_on_gpu(device, bytes())) return;
  for (Rows& rows : rows_) rows.values = rows.values.to(device);
}

size_t FeatureTable::bytes() const {
  size_t sum = 0;
  for (const Rows& rows : rows_)
    sum += rows.values.bytes() + (rows.scales.defined() ? rows.scales.bytes() : 0);
  return sum;
}

void FeatureTable::put_row(Rows& rows, int64_t index, const Tensor& row) {
  if (dtype_ == FeatureDtype::int8)
    quantise(row.to(Device::cpu()).to(Dtype::f32), rows.values.select(0, index),
             rows.scales.select(0, index));
  else
    rows.values.select(0, index).copy_from(row);
}

void FeatureTable::put(const std::vector<int64_t>& indices, const Features& features) {
  const std::vector<Tensor> parts = parts_of(features);
  for (size_t i = 0; i < indices.size(); ++i) {
    for (size_t p = 0; p < parts.size(); ++p) {
      put_row(rows_[p], indices[i], parts[p].select(0, static_cast<int64_t>(i)));
    }
  }
  touched(indices.size());
}

Tensor FeatureTable::get_rows(const Rows& rows, const std::vector<int64_t>& indices) const {
  const Tensor values = gather_rows(rows.values, indices);
  return rows.scales.defined() ? restored(values, gather_rows(rows.scales, indices)) : values;
}

Features FeatureTable::get(const std::vector<int64_t>& indices, Dtype dtype, Device device) {
  Features features{{}, {}, grid_rows_, grid_columns_};
  for (const Rows& rows : rows_) {
    const Tensor part = get_rows(rows, indices).to(device).to(dtype);
    if (features.bottleneck_input.defined())
      features.encoded.push_back(part);
    else
      features.bottleneck_input = part;
  }
  touched(indices.size());
  return features;
}

// A file's pages count as this program's memory as long as they are mapped in.
void FeatureTable::touched(size_t images) {
  touched_ += bytes() / static_cast<size_t>(count_) * images;
  if (touched_ <= memory_) return;
  touched_ = 0;
  for (const Rows& rows : rows_) {
    rows.values.storage()->evict();
    if (rows.scales.defined()) rows.scales.storage()->evict();
  }
}

NamedTensors FeatureTable::tensors() const {
  NamedTensors tensors{{"grid", Tensor::from(std::vector<int64_t>{grid_rows_, grid_columns_}, {2})}};
  for (size_t i = 0; i < rows_.size(); ++i) {
    tensors.emplace_back(part_name(i), rows_[i].values);
    if (rows_[i].scales.defined()) tensors.emplace_back(part_name(i) + ".scale", rows_[i].scales);
  }
  return tensors;
}

}  // namespace dinomaly
