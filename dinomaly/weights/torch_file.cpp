#include "dinomaly/weights/torch_file.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/torch_tensors.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;
using Kind = PickleNode::Kind;

constexpr std::string_view pickle_name = "data.pkl";

// Where the keys and values of a dict begin among a node's items; none if it is not a dict.
std::optional<size_t> dict_begin(const Pickle& pickle, const PickleNode& node) {
  if (node.kind == Kind::dict) return 0;
  if (node.kind != Kind::call) return std::nullopt;
  const PickleNode& callee = pickle.nodes[node.items[0]];
  const bool ordered =
      callee.kind == Kind::global && callee.text == "collections" && callee.text2 == "OrderedDict";
  return ordered && node.items.size() % 2 == 0 ? std::optional<size_t>(2) : std::nullopt;
}

const PickleNode* find_in_dict(const Pickle& pickle, const PickleNode& dict, std::string_view key) {
  const std::optional<size_t> begin = dict_begin(pickle, dict);
  for (size_t i = begin.value_or(dict.items.size()); i + 1 < dict.items.size(); i += 2) {
    const PickleNode& name = pickle.nodes[dict.items[i]];
    if (name.kind == Kind::text && name.text == key) return &pickle.nodes[dict.items[i + 1]];
  }
  return nullptr;
}

const PickleNode& find_state_dict(const Pickle& pickle, const std::string& source) {
  const PickleNode& root = pickle.nodes[pickle.root];
  check_input(dict_begin(pickle, root).has_value(),
              "{}: holds {}, not a state dict (save model.state_dict())", source, describe(pickle, root));
  for (const std::string_view key : {"state_dict", "model"}) {
    const PickleNode* inner = find_in_dict(pickle, root, key);
    if (inner != nullptr && dict_begin(pickle, *inner)) return *inner;
  }
  return root;
}

// Numbers, strings and containers as JSON; the rest is omitted. Shared values are written out each time, so
// both depth and number are bounded.
class JsonWriter {
 public:
  explicit JsonWriter(const Pickle& pickle) : pickle_(pickle) {}

  std::optional<json> write(const PickleNode& node, int depth = 0) {
    if (depth > 8 || ++written_ > 10000) return std::nullopt;
    switch (node.kind) {
      case Kind::none:
        return json(nullptr);
      case Kind::boolean:
        return json(node.integer != 0);
      case Kind::integer:
        return json(node.integer);
      case Kind::real:
        return json(node.real);
      case Kind::text:
        return json(printable(node.text));
      case Kind::list:
      case Kind::tuple:
        return list(node, depth);
      case Kind::dict:
      case Kind::call:
        return dict(node, depth);
      default:
        return std::nullopt;
    }
  }

 private:
  json list(const PickleNode& node, int depth) {
    json result = json::array();
    for (const uint32_t item : node.items) {
      if (written_ > 10000) break;
      if (auto value = write(pickle_.nodes[item], depth + 1)) result.push_back(std::move(*value));
    }
    return result;
  }
  std::optional<json> dict(const PickleNode& node, int depth) {
    const std::optional<size_t> begin = dict_begin(pickle_, node);
    if (!begin) return std::nullopt;
    json result = json::object();
    for (size_t i = *begin; i + 1 < node.items.size() && written_ <= 10000; i += 2) {
      const PickleNode& key = pickle_.nodes[node.items[i]];
      if (key.kind != Kind::text) continue;
      if (auto value = write(pickle_.nodes[node.items[i + 1]], depth + 1)) {
        result[printable(key.text)] = std::move(*value);
      }
    }
    return result;
  }

  const Pickle& pickle_;
  int written_ = 0;
};

void read_tensors(const Pickle& pickle, const PickleNode& dict, TorchTensors& reader, WeightsFile& result) {
  for (size_t i = *dict_begin(pickle, dict); i + 1 < dict.items.size(); i += 2) {
    const PickleNode &key = pickle.nodes[dict.items[i]], &value = pickle.nodes[dict.items[i + 1]];
    const std::string name = key.kind == Kind::text ? std::string(key.text) : describe(pickle, key);
    std::string dtype;
    const Tensor tensor = key.kind == Kind::text ? reader.read(value, name, dtype) : Tensor();
    if (!tensor) {
      result.skipped.push_back(fmt::format("{} ({})", printable(name), describe(pickle, value)));
      continue;
    }
    result.tensors[name] = tensor;
    result.dtypes[name] = dtype;
  }
}

}  // namespace

WeightsFile load_torch_file(const std::filesystem::path& path) {
  WeightsFile result;
  result.path = path;
  result.format = WeightsFile::Format::torch_zip;
  const StoredZip zip(path);
  const std::string pickle_path = zip.find_ending(pickle_name);
  check_input(!pickle_path.empty(), "{}: a zip archive, but not one of PyTorch's: it has no {}",
              result.source(), pickle_name);
  const std::string folder = pickle_path.substr(0, pickle_path.size() - pickle_name.size());
  check_input(!zip.contains(folder + "constants.pkl"), "{}: a TorchScript program, not a state dict",
              result.source());
  const StoredZip::Bytes bytes = zip.get(pickle_path, true);
  const Pickle pickle =
      parse_pickle({reinterpret_cast<const char*>(bytes.data), bytes.size}, result.source());
  TorchTensors reader(pickle, zip, folder, result.source());
  read_tensors(pickle, find_state_dict(pickle, result.source()), reader, result);
  const PickleNode* hyper = find_in_dict(pickle, pickle.nodes[pickle.root], "hyper_parameters");
  if (hyper != nullptr) {
    const std::optional<json> value = JsonWriter(pickle).write(*hyper);
    if (value) result.hyper_parameters = std::make_shared<const json>(*value);
  }
  return result;
}

}  // namespace dinomaly
