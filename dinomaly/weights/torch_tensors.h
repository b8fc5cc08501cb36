// The tensors of a PyTorch file, as the calls recorded in its pickle would have rebuilt them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/pickle.h"
#include "dinomaly/weights/stored_zip.h"
#include "dinomaly/weights/torch_archive.h"
#include "tensor/tensor.h"

namespace dinomaly {

// What a value is, for an error message: "a number", "an object of os.system".
std::string describe(const Pickle& pickle, const PickleNode& node);

// A tensor and its dtype as safetensors spells it; or an undefined one and what the value is instead: "a
// number", "of dtype F8_E4M3", "a sparse tensor".
struct TorchValue {
  Tensor tensor;
  std::string dtype, what;
};

class TorchTensors {
 public:
  // All must outlive the reader, not the tensors.
  TorchTensors(const Pickle& pickle, const StoredZip& zip, TorchArchive archive, std::string source);

  // The tensor (or parameter) that `value` describes. Throws InputError naming file and tensor if the storage
  // is absent or cut short, or the tensor reaches outside of it.
  TorchValue read(const PickleNode& value, const std::string& name);

 private:
  struct Storage {
    Tensor values;      // (N)
    std::string dtype;  // as in the file
  };
  struct View {
    int64_t offset = 0;
    std::vector<int64_t> sizes, strides;
  };
  // The function that makes a tensor (its name in torch._utils) and its arguments.
  struct Rebuild {
    std::string_view function;
    const PickleNode* arguments = nullptr;
  };
  const PickleNode& node(uint32_t index) const { return pickle_.nodes[index]; }
  std::optional<Rebuild> rebuild(const PickleNode& value) const;
  std::string why_unreadable(const Rebuild& rebuild) const;
  Storage storage(const PickleNode& id, const std::string& dtype);
  std::optional<View> view(const PickleNode& arguments) const;
  void account(uint64_t bytes, uint64_t& total) const;
  Tensor apply(const View& view, const Storage& storage, const std::string& name);

  const Pickle& pickle_;
  const StoredZip& zip_;
  TorchArchive archive_;
  std::string source_;
  std::map<std::string, Storage> storages_;
  uint64_t stored_bytes_ = 0, tensor_bytes_ = 0;  // so far
};

}  // namespace dinomaly
