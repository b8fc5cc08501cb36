// Zip archives and pickles as torch.save() writes them, made by hand: also those that no PyTorch here would write.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"
#include "tests/dinomaly/png.h"

namespace dinomaly {

using ZipEntries = std::vector<std::pair<std::string, std::string>>;

template <class T>
void append_little(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// An archive of these entries, in this order and uncompressed; names may repeat.
inline std::string stored_zip(const ZipEntries& entries) {
  const auto fields = [](std::string& out, const std::string& name, const std::string& bytes) {
    for (const uint16_t value : {20, 0, 0}) append_little(out, value);  // version, flags, stored
    append_little<uint32_t>(out, 0), append_little(out, crc32(bytes));  // time, checksum
    append_little(out, static_cast<uint32_t>(bytes.size()));
    append_little(out, static_cast<uint32_t>(bytes.size()));
    append_little(out, static_cast<uint16_t>(name.size())), append_little<uint16_t>(out, 0);
  };
  std::string file, directory;
  for (const auto& [name, bytes] : entries) {
    const auto begin = static_cast<uint32_t>(file.size());
    file += "PK\x03\x04";
    fields(file, name, bytes);
    file += name + bytes;
    directory += "PK\x01\x02";
    append_little<uint16_t>(directory, 20);
    fields(directory, name, bytes);
    for (int i = 0; i < 3; ++i) append_little<uint16_t>(directory, 0);
    append_little<uint32_t>(directory, 0), append_little(directory, begin);
    directory += name;
  }
  const auto begin = static_cast<uint32_t>(file.size());
  const auto count = static_cast<uint16_t>(entries.size());
  file += directory + "PK\x05\x06";
  append_little<uint32_t>(file, 0), append_little(file, count), append_little(file, count);
  append_little(file, static_cast<uint32_t>(directory.size())), append_little(file, begin);
  append_little<uint16_t>(file, 0);
  return file;
}

// --- Pickled values, without the frame of a whole pickle.
inline std::string pickled(const std::string& text) {
  std::string bytes = "X";
  append_little(bytes, static_cast<uint32_t>(text.size()));
  return bytes + text;
}

inline std::string pickled(int64_t value) {
  std::string bytes = "\x8a\x08";
  append_little(bytes, value);
  return bytes;
}

inline std::string pickled_tuple(const std::vector<std::string>& items) {
  std::string bytes = "(";
  for (const std::string& item : items) bytes += item;
  return bytes + "t";
}

inline std::string pickled_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string bytes = "}(";
  for (const auto& [name, value] : items) bytes += pickled(name) + value;
  return bytes + "u";
}

inline std::string pickled_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

inline std::string pickled_call(const std::string& name, const std::vector<std::string>& arguments) {
  return pickled_global("torch._utils", name) + pickled_tuple(arguments) + "R";
}

// Collects storages, and puts them and a pickle into an archive.
class TorchWriter {
 public:
  ZipEntries records{{"version", "3\n"}, {"byteorder", "little"}};

  // The storage of these bytes: `type` is PyTorch's name ("FloatStorage").
  std::string storage(const std::string& type, const std::string& bytes, int64_t count,
                      const std::string& device = "cpu") {
    const std::string key = std::to_string(storages_.size());
    storages_.emplace_back("data/" + key, bytes);
    return pickled_tuple({pickled("storage"), pickled_global("torch", type), pickled(key), pickled(device),
                          pickled(count)}) +
           "Q";
  }

  // The arguments of _rebuild_tensor_v2 for a whole contiguous tensor.
  static std::vector<std::string> arguments(const std::string& storage, const std::vector<int64_t>& sizes) {
    std::vector<std::string> shape, strides;
    int64_t stride = 1;
    for (size_t axis = sizes.size(); axis-- > 0; stride *= sizes[axis])
      strides.insert(strides.begin(), pickled(stride));
    for (const int64_t size : sizes) shape.push_back(pickled(size));
    return {storage,
            pickled(0),
            pickled_tuple(shape),
            pickled_tuple(strides),
            "\x89",
            pickled_global("collections", "OrderedDict") + ")R"};
  }

  std::string tensor(const Tensor& tensor) {
    const Tensor dense = tensor.to(Dtype::f32).contiguous();
    std::string bytes(static_cast<const char*>(dense.raw_data()), static_cast<size_t>(dense.bytes()));
    const std::vector<int64_t> sizes(dense.shape().begin(), dense.shape().end());
    return pickled_call("_rebuild_tensor_v2",
                        arguments(storage("FloatStorage", bytes, dense.numel()), sizes));
  }

  // The whole file, its pickle being of `value`.
  std::string file(const std::string& value) const {
    ZipEntries entries{{"archive/data.pkl", "\x80\x02" + value + "."}};
    for (const ZipEntries* more : {&records, &storages_}) {
      for (const auto& [name, bytes] : *more) entries.emplace_back("archive/" + name, bytes);
    }
    return stored_zip(entries);
  }

 private:
  ZipEntries storages_;
};

}  // namespace dinomaly
