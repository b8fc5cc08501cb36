#include "autograd/graph.h"

#include <map>
#include <set>

#include "autograd/tape.h"

namespace nabla {

namespace {

std::string bytes_text(size_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) * 1e-3);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) * 1e-6);
}

// A name inside a quoted label.
std::string quoted(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

class Drawing {
 public:
  Drawing(const Variable& root, const std::vector<std::pair<std::string, Variable>>& names) {
    for (const auto& [name, variable] : names) names_[variable.state().get()] = name;
    collect(root);
    number(root);
  }

  std::string text() const {
    std::string result = "digraph tape {\n";
    for (const VariableState* leaf : leaves_) result += box(*leaf);
    for (const auto& [order, state] : ops_) result += ellipse(*state);
    for (const auto& [order, state] : ops_) {
      for (const auto& input : state->node->inputs) {
        if (input) result += fmt::format("  {} -> {};\n", id(*input), id(*state));
      }
    }
    return result + "}\n";
  }

 private:
  // All recorded ops behind `root`, by order of creation. A list instead of recursion: tapes are long.
  void collect(const Variable& root) {
    std::vector<const VariableState*> waiting{root.state().get()};
    while (!waiting.empty()) {
      const VariableState* state = waiting.back();
      waiting.pop_back();
      if (!state->node || !ops_.emplace(state->node->order, state).second) continue;
      for (const auto& input : state->node->inputs) {
        if (input) waiting.push_back(input.get());
      }
    }
  }

  void number(const Variable& root) {
    for (const auto& [order, state] : ops_) {
      ids_[state] = fmt::format("op{}", ids_.size() - leaves_.size() + 1);
      for (const auto& input : state->node->inputs) {
        if (input) add_leaf(*input);
      }
    }
    add_leaf(*root.state());
  }

  void add_leaf(const VariableState& state) {
    if (state.node || ids_.contains(&state)) return;
    leaves_.push_back(&state);
    ids_[&state] = fmt::format("leaf{}", leaves_.size());
    if (const auto held = state.held.lock()) leaf_storages_.insert(held->value.storage().get());
  }

  const std::string& id(const VariableState& state) const { return ids_.at(&state); }

  std::string box(const VariableState& leaf) const {
    const auto name = names_.find(&leaf);
    const std::string kind = leaf.released ? "released" : leaf.requires_grad ? "leaf" : "constant";
    return fmt::format("  {} [shape=box, label=\"{}\\n{} {}\"];\n", id(leaf),
                       name == names_.end() ? kind : quoted(name->second), leaf.shape, leaf.dtype);
  }

  std::string ellipse(const VariableState& state) const {
    size_t saved = 0, of_leaves = 0;
    for (const SavedTensor& tensor : state.node->saved) {
      const auto storage = tensor.storage.lock();
      if (storage == nullptr) continue;
      saved += storage->bytes();
      if (leaf_storages_.contains(storage.get())) of_leaves += storage->bytes();
    }
    std::string memory = fmt::format("saved {}", bytes_text(saved));
    if (of_leaves != 0) memory += fmt::format(", {} of it in leaves", bytes_text(of_leaves));
    return fmt::format("  {} [label=\"{}\\n{} {}\\n{}\"];\n", id(state), quoted(state.node->name),
                       state.shape, state.dtype, memory);
  }

  std::map<const VariableState*, std::string> names_, ids_;
  std::map<uint64_t, const VariableState*> ops_;
  std::vector<const VariableState*> leaves_;
  std::set<const Storage*> leaf_storages_;
};

}  // namespace

std::string to_graphviz(const Variable& root, const std::vector<std::pair<std::string, Variable>>& names) {
  check(root.defined(), "to_graphviz: the variable is undefined");
  return Drawing(root, names).text();
}

}  // namespace nabla
