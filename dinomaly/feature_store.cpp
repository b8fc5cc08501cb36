#include "dinomaly/feature_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>

#include "dinomaly/data/loader.h"
#include "dinomaly/files.h"
#include "dinomaly/sha256.h"
#include "dinomaly/weights/encoder_hash.h"
#include "tensor/io/safetensors.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// Memory of a file that has no name, so that nothing is left of it however the program ends.
std::shared_ptr<void> map_nameless_file(const fs::path& folder, size_t bytes) {
  make_folder(folder);
  std::string name = (folder / "features-XXXXXX").string();
  const int file = mkostemp(name.data(), O_CLOEXEC);
  check_input(file >= 0, "{}: no file can be made: {}", folder.string(), std::strerror(errno));
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
  return !device.is_cpu() && bytes <= kernels_for(device).allocator().available() / 2;
}

std::string group_name(size_t group) { return fmt::format("group.{}", group); }

std::vector<std::string> hashes_of_files(const std::vector<Sample>& samples) {
  constexpr uint64_t largest_picture = uint64_t{1} << 31;
  std::vector<std::string> hashes(samples.size());
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < samples.size(); ++i) {
    try {  // an exception must not leave the parallel region
      hashes[i] = sha256_of(read_file(samples[i].image, largest_picture));
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  return hashes;
}

}  // namespace

std::string feature_key(const Dinomaly& model, const std::vector<Sample>& samples, bool bf16) {
  const Config& config = model.config();
  const Dtype dtype = model.encoder().parameters().front().dtype();
  nlohmann::json key = {{"version", 1},
                        {"encoder", encoder_sha256(model.encoder().state_dict(), dtype)},
                        {"heads", model.encoder().config().heads},
                        {"dtype", std::string(name_of(dtype))},
                        {"bf16", bf16},
                        {"pictures", hashes_of_files(samples)}};
  // The preset decides how pictures are resized and how the position table is interpolated.
  const nlohmann::json options = config.to_json();
  for (const char* name :
       {"preset", "target_blocks", "encoder_groups", "remove_class_token", "context_recentering", "resize_h",
        "resize_w", "crop_h", "crop_w", "mean", "std"}) {
    key[name] = options.at(name);
  }
  return sha256_of(key.dump());
}

FeatureStore::FeatureStore(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch,
                           const FeatureOptions& options)
    : given_(model.encoder().parameters().front().dtype()),
      device_(model.encoder().parameters().front().device()) {
  if (samples.empty()) return;
  if (!options.cache) {
    compute(model, samples, batch, options);
    return;
  }
  make_folder(*options.cache);
  const fs::path path = *options.cache / (feature_key(model, samples, options.bf16) + ".safetensors");
  const auto count = static_cast<int64_t>(samples.size());
  const size_t groups = model.config().encoder_groups.size();
  if (load(path, count, groups)) return;
  compute(model, samples, batch, options);
  save(path);
}

bool FeatureStore::load(const fs::path& path, int64_t count, size_t groups) {
  if (!fs::exists(path)) return false;
  try {
    const SafeTensors file = SafeTensors::load(path);
    Features all{file.get("bottleneck_input"), {}, 0, 0};
    const auto grid = file.get("grid").to_vector<int64_t>();
    check_input(grid.size() == 2 && all.bottleneck_input.rank() == 3, "{}: no features", path.string());
    all.rows = grid[0], all.columns = grid[1];
    for (size_t g = 0; g < groups; ++g) all.encoded.push_back(file.get(group_name(g)));
    bool fits = all.batch() == count;
    for (const Tensor& group : all.encoded) {
      fits = fits && group.shape() == Shape{count, grid[0] * grid[1], all.bottleneck_input.size(2)};
    }
    check_input(fits, "{}: features of other shapes", path.string());
    all_ = std::move(all);
    if (fits_on_gpu(device_, bytes())) {
      all_.bottleneck_input = all_.bottleneck_input.to(device_);
      for (Tensor& group : all_.encoded) group = group.to(device_);
    }
  } catch (const InputError& error) {
    fmt::print(stderr, "feature cache: {}; computed anew\n", error.what());
    return false;
  }
  place_ = "from " + path.string();
  return true;
}

void FeatureStore::save(const fs::path& path) const {
  NamedTensors tensors{{"bottleneck_input", all_.bottleneck_input},
                       {"grid", Tensor::from(std::vector<int64_t>{all_.rows, all_.columns}, {2})}};
  for (size_t g = 0; g < all_.encoded.size(); ++g) tensors.emplace_back(group_name(g), all_.encoded[g]);
  remove_temporaries(path.parent_path());  // features are large
  try {
    save_safetensors(path, tensors, {{"kind", "dinomaly features"}});
  } catch (const InputError& error) {  // the run can do without
    fmt::print(stderr, "feature cache: {}; not kept for later runs\n", error.what());
  }
}

void FeatureStore::make_room(const Features& first, int64_t count, const FeatureOptions& options) {
  const Dtype dtype = options.bf16 ? Dtype::bf16 : first.bottleneck_input.dtype();
  std::vector<Shape> shapes{with_rows(first.bottleneck_input, count)};
  for (const Tensor& group : first.encoded) shapes.push_back(with_rows(group, count));
  size_t total = 0;
  for (const Shape& shape : shapes) total += static_cast<size_t>(shape.numel()) * size_of(dtype);
  const bool on_gpu = fits_on_gpu(device_, total);
  const bool in_memory = on_gpu || total <= options.memory;
  place_ = on_gpu ? "on " + device_.to_string() : in_memory ? "in memory" : "in a file";
  const std::shared_ptr<void> file = in_memory ? nullptr : map_nameless_file(options.folder, total);
  std::vector<Tensor> room;
  size_t offset = 0;
  for (const Shape& shape : shapes) {
    room.push_back(in_memory
                       ? Tensor::empty(shape, dtype, on_gpu ? device_ : Device::cpu())
                       : Tensor::wrap(static_cast<std::byte*>(file.get()) + offset, shape, dtype, file));
    offset += room.back().bytes();
  }
  all_ = {room.front(), {room.begin() + 1, room.end()}, first.rows, first.columns};
}

void FeatureStore::compute(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch,
                           const FeatureOptions& options) {
  const int64_t count = static_cast<int64_t>(samples.size());
  ImageLoader loader(samples, model.config().image, batch);
  for (int64_t begin = 0; !loader.done();) {
    const Features features = model.encode(loader.next());
    if (begin == 0) make_room(features, count, options);
    const int64_t end = begin + features.batch();
    all_.bottleneck_input.slice(0, begin, end).copy_from(features.bottleneck_input);
    for (size_t g = 0; g < all_.encoded.size(); ++g) {
      all_.encoded[g].slice(0, begin, end).copy_from(features.encoded[g]);
    }
    begin = end;
  }
  kernels_for(device_).trim();  // the encoder rests while the decoder is trained
}

size_t FeatureStore::bytes() const {
  if (size() == 0) return 0;
  size_t bytes = all_.bottleneck_input.bytes();
  for (const Tensor& group : all_.encoded) bytes += group.bytes();
  return bytes;
}

Features FeatureStore::gather(const std::vector<int64_t>& indices) const {
  Features features{
      gather_rows(all_.bottleneck_input, indices).to(device_).to(given_), {}, all_.rows, all_.columns};
  for (const Tensor& group : all_.encoded) {
    features.encoded.push_back(gather_rows(group, indices).to(device_).to(given_));
  }
  return features;
}

}  // namespace dinomaly
