#include "dinomaly/weights/sharded_file.h"

#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;
using Map = std::map<std::string, std::string>;

constexpr uint64_t largest_index = 16 << 20;

// Parses with a bound on depth and without repeated keys, of which the parser would keep the last.
json parse_index(const std::string& text, const std::string& source) {
  std::vector<std::set<std::string>> keys;
  const auto listen = [&](int depth, json::parse_event_t event, json& parsed) {
    constexpr int deepest = 4;
    check_input(depth <= deepest, "{}: nested too deeply", source);
    keys.resize(static_cast<size_t>(depth) + 1);
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      check_input(keys[static_cast<size_t>(depth)].insert(key).second, "{}: '{}' appears twice", source,
                  printable(key));
    }
    return true;
  };
  try {
    return json::parse(text, listen);
  } catch (const json::exception&) {
    fail_input("{}: not JSON", source);
  }
}

// A file name and no path: no folder, no "..", nothing hidden.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

Map read_weight_map(const std::filesystem::path& index) {
  const std::string source = index.string();
  const json document = parse_index(read_file(index, largest_index), source);
  check_input(document.is_object() && document.contains("weight_map") && document["weight_map"].is_object(),
              "{}: no 'weight_map' in it: not the index of a sharded safetensors file", source);
  Map shards;
  for (const auto& [name, shard] : document["weight_map"].items()) {
    check_input(shard.is_string(), "{}: the shard of '{}' is not a string", source, printable(name));
    const std::string file = shard.get<std::string>();
    check_input(is_plain_name(file),
                "{}: '{}' is said to be in '{}', which is not the name of a file beside it", source,
                printable(name), printable(file));
    check_input(file.ends_with(".safetensors"), "{}: the shard '{}' is not a safetensors file", source,
                printable(file));
    shards[name] = file;
  }
  check_input(!shards.empty(), "{}: its 'weight_map' is empty", source);
  return shards;
}

}  // namespace

WeightsFile load_sharded_file(const std::filesystem::path& index) {
  const std::string source = index.string();
  const Map shards = read_weight_map(index);
  WeightsFile result;
  result.path = index;
  result.format = WeightsFile::Format::sharded_safetensors;
  for (const auto& [name, shard] : shards) {
    std::error_code ignored;
    check_input(std::filesystem::exists(index.parent_path() / shard, ignored),
                "{}: the shard '{}' is missing ('{}' is in it)", source, printable(shard), printable(name));
  }
  std::set<std::string> opened;
  for (const auto& entry : shards) {
    const std::string& shard = entry.second;
    if (!opened.insert(shard).second) continue;
    const std::filesystem::path path = index.parent_path() / shard;
    const WeightsFile part = load_safetensors_file(path);
    const auto belongs = [&](const std::string& name) {
      const auto found = shards.find(name);
      check_input(found != shards.end(), "{}: it does not name '{}', which is in the shard '{}'", source,
                  printable(name), printable(shard));
      check_input(found->second == shard, "{}: '{}' is in the shard '{}', too, not only in '{}'", source,
                  printable(name), printable(shard), printable(found->second));
    };
    for (const auto& [name, tensor] : part.tensors) belongs(name);
    for (const auto& [name, what] : part.skipped) belongs(name);
    result.tensors.insert(part.tensors.begin(), part.tensors.end());
    result.dtypes.insert(part.dtypes.begin(), part.dtypes.end());
    result.skipped.insert(part.skipped.begin(), part.skipped.end());
    result.shards.push_back(path);
  }
  for (const auto& [name, shard] : shards) {
    check_input(result.tensors.contains(name) || result.skipped.contains(name),
                "{}: '{}' is not in its shard '{}'", source, printable(name), printable(shard));
  }
  return result;
}

std::optional<std::filesystem::path> find_weights_in_folder(const std::filesystem::path& folder) {
  for (const char* name : {"model.safetensors.index.json", "model.safetensors"}) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

std::filesystem::path weights_in_folder(const std::filesystem::path& folder) {
  if (const auto file = find_weights_in_folder(folder)) return *file;
  fail_input("{}: a folder with neither model.safetensors.index.json nor model.safetensors", folder.string());
}

}  // namespace dinomaly
