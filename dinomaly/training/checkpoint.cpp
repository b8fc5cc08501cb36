#include "dinomaly/training/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// Texts lie in the file as tensors of bytes, so that a long log does not swell the header.
const std::string text_prefix = "text.";
constexpr const char* checksum_key = "sha256";

std::string checksum(const std::map<std::string, Tensor>& tensors) {
  Sha256 hash;
  for (const auto& [name, tensor] : tensors) {
    const Tensor values = tensor.to(Device::cpu()).contiguous();
    hash.update(fmt::format("{} {} {}\n", name, tensor.dtype(), tensor.shape()));
    hash.update(values.raw_data(), values.bytes());
  }
  return hash.hex();
}

Tensor bytes_of(const std::string& text) {
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  return Tensor::from(bytes, {static_cast<int64_t>(bytes.size())});
}

// Throws InputError where the file is not whole.
Checkpoint load(int64_t iteration, const fs::path& path) {
  const SafeTensors file = SafeTensors::load(path);
  std::map<std::string, Tensor> all;
  for (const std::string& name : file.names()) all[name] = file.get(name);
  const auto sum = file.metadata().find(checksum_key);
  check_input(sum != file.metadata().end() && sum->second == checksum(all), "{}: the checksum is wrong",
              path.string());
  Checkpoint state{path, iteration, {}, {}};
  for (const auto& [name, tensor] : all) {
    if (name.starts_with(text_prefix)) {
      const std::vector<uint8_t> bytes = tensor.to_vector<uint8_t>();
      state.texts[name.substr(text_prefix.size())] = std::string(bytes.begin(), bytes.end());
    } else {
      state.tensors[name] = tensor;
    }
  }
  return state;
}

}  // namespace

const std::string& Checkpoint::text(const std::string& name) const {
  static const std::string none;
  const auto found = texts.find(name);
  return found == texts.end() ? none : found->second;
}

std::map<int64_t, fs::path> CheckpointFolder::files() const {
  std::map<int64_t, fs::path> result;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string(), stem = it->path().stem().string();
    int64_t iteration = 0;
    const auto [rest, fault] = std::from_chars(stem.data(), stem.data() + stem.size(), iteration);
    if (fault == std::errc() && rest == stem.data() + stem.size() && name == stem + ".safetensors")
      result[iteration] = it->path();
  }
  return result;
}

void CheckpointFolder::save(int64_t iteration, const NamedTensors& tensors, const Texts& texts) const {
  make_folder(folder_);
  std::map<std::string, Tensor> all(tensors.begin(), tensors.end());
  for (const auto& [name, text] : texts) all[text_prefix + name] = bytes_of(text);
  save_safetensors(folder_ / fmt::format("{:08}.safetensors", iteration), {all.begin(), all.end()},
                   {{"kind", training_state_kind}, {checksum_key, checksum(all)}});
  auto known = files();
  std::error_code ignored;  // one too many does no harm
  for (auto later = known.upper_bound(iteration); later != known.end(); later = known.erase(later)) {
    fs::remove(later->second, ignored);
  }
  size_t superfluous = known.size() > 2 ? known.size() - 2 : 0;
  for (const auto& [number, path] : known) {
    if (superfluous-- == 0) break;
    fs::remove(path, ignored);
  }
}

std::optional<Checkpoint> CheckpointFolder::latest() const {
  const auto known = files();
  for (auto it = known.rbegin(); it != known.rend(); ++it) {
    Checkpoint saved;
    try {
      saved = load(it->first, it->second);
    } catch (const InputError& error) {
      print_error("damaged checkpoint: {}{}\n", error.what(),
                  std::next(it) == known.rend() ? "" : "; using the previous one");
      continue;
    }
    // Not damaged: the run had diverged, and would do so again.
    check_finite({saved.tensors.begin(), saved.tensors.end()}, saved.path.string());
    return saved;
  }
  return std::nullopt;
}

void CheckpointFolder::clear() const {
  std::error_code error;
  for (const auto& [number, path] : files()) {
    check_input(fs::remove(path, error), "{}: cannot be removed", path.string());
  }
  remove_temporaries(folder_);
}

}  // namespace dinomaly
