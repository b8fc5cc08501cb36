#include "tensor/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "tensor/io/atomic_file.h"
#include "tensor/io/printable.h"
#include "tensor/io/raw_tensor.h"

namespace nabla {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so is this code");
static_assert(sizeof(size_t) == 8, "file sizes and tensor sizes are taken to fit into size_t");

using nlohmann::json;

constexpr uint64_t longest_header = 100'000'000;  // the format's own limit
constexpr const char* metadata_key = "__metadata__";

// The format's name for a dtype of ours: the same in capitals.
std::string file_name_of(Dtype dtype) {
  std::string name(name_of(dtype));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

// Follows the parser through the header and passes on one finished entry at a time, so that at most one is
// ever held as JSON. It also checks what a finished JSON value no longer shows: depth, repeated keys, length.
class HeaderListener {
 public:
  using Event = json::parse_event_t;
  // on_entry(name, value) for each key of the header.
  explicit HeaderListener(std::function<void(const std::string&, const json&)> on_entry)
      : on_entry_(std::move(on_entry)) {}

  bool operator()(int depth, Event event, json& parsed) {
    if (event == Event::object_start || event == Event::array_start) {
      check_input(depth <= 2, "the header is nested too deeply");
      check_input(depth > 0 || event == Event::object_start, "the header is not a JSON object");
    }
    if (event == Event::key) see_key(depth, parsed.get_ref<const std::string&>());
    if (event == Event::value) {
      check_input(depth > 0, "the header is not a JSON object");
      check_input(name_ == metadata_key || ++values_ <= most_values, "tensor '{}': the entry is too long",
                  printable(name_));
    }
    const bool finished =
        depth == 1 && (event == Event::object_end || event == Event::array_end || event == Event::value);
    if (finished) on_entry_(name_, parsed);
    return !finished;  // false: drop the value
  }

 private:
  static constexpr int most_values = 64;

  void see_key(int depth, const std::string& key) {
    if (depth == 1) {
      check_input(names_.insert(key).second, "'{}' appears twice in the header", printable(key));
      name_ = key;
      fields_.clear();
      values_ = 0;
    } else {
      check_input(fields_.insert(key).second, "'{}': '{}' is given twice", printable(name_), printable(key));
      check_input(name_ == metadata_key || fields_.size() <= most_values,
                  "tensor '{}': the entry is too long", printable(name_));
    }
  }

  std::function<void(const std::string&, const json&)> on_entry_;
  std::set<std::string> names_, fields_;
  std::string name_;
  int values_ = 0;
};

std::vector<uint64_t> read_sizes(const json& entry, const char* field) {
  const auto found = entry.find(field);
  check_input(found != entry.end() && found->is_array(), "no list '{}'", field);
  std::vector<uint64_t> sizes;
  for (const json& size : *found) {
    check_input(size.is_number_unsigned() && size.get<uint64_t>() <= std::numeric_limits<int64_t>::max(),
                "'{}' must hold whole numbers from 0 to 2^63 - 1", field);
    sizes.push_back(size.get<uint64_t>());
  }
  return sizes;
}

// Bytes of a tensor. A size of 0 counts as 1 for the overflow check, so that strides cannot overflow either.
uint64_t checked_bytes(const std::vector<uint64_t>& sizes, uint64_t element) {
  int64_t bytes = static_cast<int64_t>(element);
  bool empty = false, overflow = false;
  for (uint64_t size : sizes) {
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(bytes, std::max<int64_t>(static_cast<int64_t>(size), 1), &bytes);
  }
  check_input(!overflow, "shape ({}) is too large", fmt::join(sizes, ", "));
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

}  // namespace

SafeTensors SafeTensors::load(const std::filesystem::path& path) {
  return of_file(path, MappedFile::open(path));
}

SafeTensors SafeTensors::read(const std::filesystem::path& path) {
  return of_file(path, MappedFile::read(path));
}

SafeTensors SafeTensors::from_bytes(std::span<const std::byte> bytes, const std::string& name) {
  return of_file(name, MappedFile::copy_of(bytes));
}

SafeTensors SafeTensors::of_file(const std::filesystem::path& path, std::shared_ptr<const MappedFile> file) {
  SafeTensors result;
  result.path_ = path;
  result.file_ = std::move(file);
  try {
    result.read_header();
  } catch (const json::parse_error& error) {
    // The parser's own message may quote the file at any length.
    fail_input("{}: the header is not JSON (near its byte {})", path.string(), error.byte);
  } catch (const json::exception&) {
    fail_input("{}: the header is not as the safetensors format has it", path.string());
  } catch (const InputError& error) {
    fail_input("{}: {}", path.string(), error.what());
  }
  return result;
}

SafeTensors::Entry SafeTensors::parse_entry(const json& value, uint64_t data_begin, uint64_t file_bytes) {
  check_input(value.is_object() && value.size() == 3, "expected an object of dtype, shape and data_offsets");
  const auto dtype = value.find("dtype");
  check_input(dtype != value.end() && dtype->is_string(), "no string 'dtype'");
  Entry entry;
  entry.dtype = dtype->get<std::string>();
  check_input(!entry.dtype.empty(), "its dtype is empty");
  const std::vector<uint64_t> sizes = read_sizes(value, "shape");
  entry.sizes.assign(sizes.begin(), sizes.end());

  const std::vector<uint64_t> offsets = read_sizes(value, "data_offsets");
  check_input(offsets.size() == 2, "'data_offsets' must be [begin, end]");
  check_input(offsets[0] <= offsets[1] && offsets[1] <= file_bytes - data_begin,
              "bytes {} to {} do not lie within the file's {} bytes of data", offsets[0], offsets[1],
              file_bytes - data_begin);
  // Elements of unknown dtypes may be parts of bytes.
  const uint64_t element = element_bytes(entry.dtype);
  const uint64_t needed = checked_bytes(sizes, std::max<uint64_t>(element, 1));
  check_input(element == 0 || needed == offsets[1] - offsets[0],
              "{} bytes do not fit dtype {} and shape ({})", offsets[1] - offsets[0], entry.dtype,
              fmt::join(sizes, ", "));
  entry.begin = data_begin + offsets[0];
  entry.end = data_begin + offsets[1];
  return entry;
}

void SafeTensors::read_header() {
  const uint64_t file_bytes = file_->size();
  uint64_t length = 0;
  check_input(file_bytes >= sizeof length, "too short for a safetensors file");
  std::memcpy(&length, file_->data(), sizeof length);
  check_input(length <= longest_header, "not a safetensors file, or its header is too long ({} bytes)",
              length);
  check_input(length <= file_bytes - sizeof length,
              "the header of {} bytes reaches beyond the end of the file", length);
  const uint64_t data_begin = sizeof length + length;
  const char* header = reinterpret_cast<const char*>(file_->data()) + sizeof length;
  // To the parser a zero byte is the end of its input.
  check_input(std::memchr(header, 0, length) == nullptr, "the header holds a zero byte");

  const auto add = [&](const std::string& name, const json& value) {
    if (name == metadata_key) {
      check_input(value.is_object(), "{} is not an object", metadata_key);
      for (const auto& [key, text] : value.items()) {
        check_input(text.is_string(), "{}: '{}' is not a string", metadata_key, printable(key));
        metadata_[key] = text.get<std::string>();
      }
      return;
    }
    try {
      entries_[name] = parse_entry(value, data_begin, file_bytes);
    } catch (const InputError& error) {
      fail_input("tensor '{}': {}", printable(name), error.what());
    }
  };
  HeaderListener listener(add);
  [[maybe_unused]] const json nothing_left = json::parse(header, header + length, std::ref(listener));
  check_layout(data_begin);
}

void SafeTensors::check_layout(uint64_t data_begin) const {
  std::vector<std::pair<const Entry*, const std::string*>> order;
  for (const auto& [name, entry] : entries_) order.emplace_back(&entry, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  uint64_t end = data_begin;
  for (const auto& [entry, name] : order) {
    check_input(entry->begin >= end, "tensor '{}' overlaps another one", printable(*name));
    check_input(entry->begin == end, "{} bytes before tensor '{}' belong to none", entry->begin - end,
                printable(*name));
    end = entry->end;
  }
  check_input(end == file_->size(), "{} bytes after the last tensor", file_->size() - end);
}

const SafeTensors::Entry& SafeTensors::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  check_input(found != entries_.end(), "{}: no tensor '{}'", path_.string(), printable(name));
  return found->second;
}

Shape SafeTensors::shape(const std::string& name) const {
  const std::vector<int64_t>& sizes = entry(name).sizes;
  check_input(sizes.size() <= Shape::max_rank, "{}: tensor '{}' has {} axes, more than {}", path_.string(),
              printable(name), sizes.size(), Shape::max_rank);
  return Shape(sizes);
}

std::string SafeTensors::why_unreadable(const std::string& name) const {
  const Entry& found = entry(name);
  if (!is_supported_dtype(found.dtype)) return fmt::format("of dtype {}", printable(found.dtype));
  if (found.sizes.size() > Shape::max_rank) return fmt::format("a tensor of {} axes", found.sizes.size());
  return "";
}

Tensor SafeTensors::get(const std::string& name) const {
  const Entry& found = entry(name);
  check_input(is_supported_dtype(found.dtype), "{}: tensor '{}' is of dtype {}, which is not supported",
              path_.string(), printable(name), printable(found.dtype));
  return raw_tensor(file_->data() + found.begin, shape(name), found.dtype, file_, file_->is_mapping());
}

std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : entries_) result.push_back(name);
  return result;
}

void save_safetensors(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  json header = json::object();  // sorts its keys
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::vector<std::pair<std::string, Tensor>> order = tensors;
  for (const auto& [name, tensor] : order) check(tensor.defined(), "save: tensor '{}' is undefined", name);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return size_of(a.second.dtype()) > size_of(b.second.dtype());
  });
  uint64_t end = 0;
  for (const auto& [name, tensor] : order) {
    check(name != metadata_key && !header.contains(name), "save: '{}' is reserved or given twice", name);
    const uint64_t begin = end;
    end += tensor.bytes();
    header[name] = {{"dtype", file_name_of(tensor.dtype())},
                    {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {begin, end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    fail("save: a name or metadata string is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  check(text.size() <= longest_header, "save: the header of {} bytes is too long for the format",
        text.size());

  AtomicFile file(path);
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  for (const auto& [name, tensor] : order) {
    const Tensor source = tensor.to(Device::cpu()).contiguous();
    file.write(source.raw_data(), source.bytes());
  }
  file.commit();
}

}  // namespace nabla
