// The tensors of a PyTorch file, as the calls recorded in its pickle would have rebuilt them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/pickle.h"
#include "dinomaly/weights/stored_zip.h"
#include "tensor/tensor.h"

namespace dinomaly {

// What a value is, for an error message: "a number", "an object of os.system".
std::string describe(const Pickle& pickle, const PickleNode& node);

class TorchTensors {
 public:
  // `folder` is what precedes "data/KEY" in the archive. All must outlive the reader, not the tensors.
  TorchTensors(const Pickle& pickle, const StoredZip& zip, std::string folder, std::string source);

  // The tensor (or parameter) that `value` describes, and its dtype as safetensors spells it; undefined if it
  // is anything else or its dtype is not supported. Throws InputError naming file and tensor if the storage
  // is absent or cut short, or the tensor reaches outside of it.
  Tensor read(const PickleNode& value, const std::string& name, std::string& dtype);

 private:
  struct Storage {
    Tensor values;      // (N)
    std::string dtype;  // as in the file
  };
  struct View {
    int64_t offset = 0;
    std::vector<int64_t> sizes, strides;
  };
  const PickleNode& node(uint32_t index) const { return pickle_.nodes[index]; }
  const PickleNode* rebuild_arguments(const PickleNode& value) const;
  std::optional<Storage> storage(const PickleNode& reference);
  std::optional<View> view(const PickleNode& arguments) const;
  void account(uint64_t bytes, uint64_t& total) const;
  Tensor apply(const View& view, const Storage& storage, const std::string& name);

  const Pickle& pickle_;
  const StoredZip& zip_;
  std::string folder_, source_;
  std::map<std::string, Storage> storages_;
  uint64_t stored_bytes_ = 0, tensor_bytes_ = 0;  // so far
};

}  // namespace dinomaly
