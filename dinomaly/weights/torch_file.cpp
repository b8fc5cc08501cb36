#include "dinomaly/weights/torch_file.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/state_dicts.h"
#include "dinomaly/weights/torch_archive.h"
#include "dinomaly/weights/torch_tensors.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;
using Kind = PickleNode::Kind;

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

}  // namespace

WeightsFile load_torch_file(const std::filesystem::path& path) {
  WeightsFile result;
  result.path = path;
  result.format = WeightsFile::Format::torch_zip;
  const StoredZip zip(path);
  const TorchArchive archive = read_torch_archive(zip, result.source());
  const StoredZip::Bytes bytes = zip.get(archive.folder + "data.pkl", true);
  const Pickle pickle =
      parse_pickle({reinterpret_cast<const char*>(bytes.data), bytes.size}, result.source());
  const PickleNode& root = pickle.nodes[pickle.root];
  check_input(dict_begin(pickle, root).has_value(),
              "{}: holds {}, not a state dict (save model.state_dict())", result.source(),
              describe(pickle, root));
  TorchTensors reader(pickle, zip, archive, result.source());
  read_state_dicts(pickle, root, reader, result.source(), result);
  const PickleNode* hyper = find_in_dict(pickle, root, "hyper_parameters");
  if (hyper != nullptr) {
    const std::optional<json> value = JsonWriter(pickle).write(*hyper);
    if (value) result.hyper_parameters = std::make_shared<const json>(*value);
  }
  return result;
}

}  // namespace dinomaly
