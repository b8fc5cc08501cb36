// The safetensors format (github.com/huggingface/safetensors): eight bytes of header length (little-endian),
// a JSON object from tensor name to {dtype, shape, data_offsets}, then the tensors' bytes without gaps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io/mapped_file.h"
#include "tensor/tensor.h"

namespace nabla {

// A file of named tensors, memory mapped or read. Copies share its memory. The whole header is checked by load(), so
// that what get() reads lies inside the file.
class SafeTensors {
 public:
  // Throws InputError naming the file and the fault: unreadable, a header that is too long, not JSON, or says
  // something impossible (shapes that overflow, ranges that overlap, leave gaps, do not fit). Of a dtype that is
  // not known only the range is checked: it matters when the tensor is asked for.
  static SafeTensors load(const std::filesystem::path& path);
  // The same in memory of its own, for who uses the tensors while others may write to the file (MappedFile::read()).
  static SafeTensors read(const std::filesystem::path& path);
  // The same of a file's bytes, which are copied; `name` is its name in messages.
  static SafeTensors from_bytes(std::span<const std::byte> bytes, const std::string& name);

  bool contains(const std::string& name) const { return entries_.contains(name); }
  // The tensor on the CPU. F32, F64, BF16, I64, U8 and I8 point into the file's memory (copy on write; kept alive by
  // the tensor) where their bytes are aligned, and are copied otherwise; F16 becomes f32, BOOL u8, I32 i64.
  // Throws InputError naming file and tensor if it is absent, of another dtype or of more than 8 axes.
  Tensor get(const std::string& name) const;
  // Why get() cannot read a tensor of the file: "of dtype F8_E4M3", "a tensor of 9 axes"; empty if it can.
  std::string why_unreadable(const std::string& name) const;
  // Throws InputError as get() does.
  Shape shape(const std::string& name) const;
  // As the file spells it ("F16"). Throws InputError if there is no such tensor.
  const std::string& dtype(const std::string& name) const { return entry(name).dtype; }
  // Sorted.
  std::vector<std::string> names() const;
  // The free-form strings under "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Entry {
    std::string dtype;  // as the file spells it
    std::vector<int64_t> sizes;
    uint64_t begin = 0, end = 0;  // bytes, counted from the start of the file
  };
  const Entry& entry(const std::string& name) const;
  static SafeTensors of_file(const std::filesystem::path& path, std::shared_ptr<const MappedFile> file);
  void read_header();
  static Entry parse_entry(const nlohmann::json& value, uint64_t data_begin, uint64_t file_bytes);
  void check_layout(uint64_t data_begin) const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

// Writes the tensors (any device and strides), wide dtypes first so that all are aligned, to a temporary name
// beside `path`, syncs and renames it: the file appears whole or not at all. The same arguments give the same
// bytes. Throws Error for undefined tensors and repeated or reserved names, InputError if the file cannot be
// written. Names and metadata are UTF-8.
void save_safetensors(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace nabla
