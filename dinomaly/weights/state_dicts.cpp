#include "dinomaly/weights/state_dicts.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using Kind = PickleNode::Kind;

// Of Lightning, timm, DINO, DINOv2, DeepSpeed and others.
constexpr std::array<std::string_view, 6> plain_names{"state_dict", "model",   "model_state_dict",
                                                      "module",     "network", "net"};
// These say which of two models of one training run it is.
constexpr std::array<std::string_view, 9> telling_names{"teacher",
                                                        "student",
                                                        "ema",
                                                        "model_ema",
                                                        "ema_model",
                                                        "state_dict_ema",
                                                        "ema_state_dict",
                                                        "model_ema_state_dict",
                                                        "ema_model_state_dict"};

template <size_t Count>
bool holds(const std::array<std::string_view, Count>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class StateDictReader {
 public:
  StateDictReader(const Pickle& pickle, TorchTensors& reader, const std::string& source)
      : pickle_(pickle), reader_(reader), source_(source) {}

  WeightsFile read(const PickleNode& dict, const std::string& prefix, int depth) {
    constexpr int deepest = 8;
    check_input(depth <= deepest, "{}: more than {} dicts inside each other", source_, deepest);
    constexpr size_t most_entries = 200'000;  // shared dicts count each time
    entries_ += dict.items.size() / 2;
    check_input(entries_ <= most_entries, "{}: more than {} entries in its dicts", source_, most_entries);
    std::vector<std::pair<std::string_view, WeightsFile>> inner;
    for (size_t i = *dict_begin(pickle_, dict); i + 1 < dict.items.size(); i += 2) {
      const PickleNode &key = node(dict.items[i]), &value = node(dict.items[i + 1]);
      const bool known =
          key.kind == Kind::text && (holds(plain_names, key.text) || holds(telling_names, key.text));
      if (!known || !dict_begin(pickle_, value)) continue;
      WeightsFile found = read(value, prefix + std::string(key.text) + ".", depth + 1);
      if (!found.tensors.empty()) inner.emplace_back(key.text, std::move(found));
    }
    WeightsFile result;
    if (inner.empty()) {
      read_all(dict, prefix, depth, result);
    } else if (inner.size() == 1 && holds(plain_names, inner[0].first)) {
      add(inner[0].second, prefix.size() + inner[0].first.size() + 1, prefix, result);
    } else {
      for (auto& [name, found] : inner) add(found, 0, "", result);
    }
    return result;
  }

 private:
  const PickleNode& node(uint32_t index) const { return pickle_.nodes[index]; }

  // Moves all of `from`, its names with `prefix` in place of their first `cut` letters.
  void add(const WeightsFile& from, size_t cut, const std::string& prefix, WeightsFile& to) const {
    for (const auto& [name, tensor] : from.tensors)
      add(prefix + name.substr(cut), {tensor, from.dtypes.at(name), ""}, to);
    for (const auto& [name, what] : from.skipped) to.skipped[prefix + name.substr(cut)] = what;
  }
  void add(const std::string& name, const TorchValue& value, WeightsFile& to) const {
    if (!value.tensor) {
      to.skipped[name] = value.what;
      return;
    }
    check_input(to.tensors.emplace(name, value.tensor).second, "{}: two tensors are named '{}'", source_,
                printable(name));
    to.dtypes[name] = value.dtype;
  }

  void read_all(const PickleNode& dict, const std::string& prefix, int depth, WeightsFile& result) {
    for (size_t i = *dict_begin(pickle_, dict); i + 1 < dict.items.size(); i += 2) {
      const PickleNode &key = node(dict.items[i]), &value = node(dict.items[i + 1]);
      const std::string name = prefix + name_of_key(key);
      if (const auto begin = dict_begin(pickle_, value); begin && value.items.size() > *begin) {
        add(read(value, name + ".", depth + 1), 0, "", result);
        continue;
      }
      add(name, reader_.read(value, name), result);
    }
  }

  std::string name_of_key(const PickleNode& key) const {
    if (key.kind == Kind::text) return std::string(key.text);
    if (key.kind == Kind::integer) return std::to_string(key.integer);
    return describe(pickle_, key);
  }

  const Pickle& pickle_;
  TorchTensors& reader_;
  const std::string& source_;
  size_t entries_ = 0;
};

}  // namespace

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

void read_state_dicts(const Pickle& pickle, const PickleNode& root, TorchTensors& reader,
                      const std::string& source, WeightsFile& result) {
  WeightsFile found = StateDictReader(pickle, reader, source).read(root, "", 0);
  result.tensors = std::move(found.tensors);
  result.dtypes = std::move(found.dtypes);
  result.skipped = std::move(found.skipped);
}

}  // namespace dinomaly
