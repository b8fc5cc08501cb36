#include "dinomaly/weights/encoder_choice.h"

#include <algorithm>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

// The parts between dots and slashes.
std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  while (!name.empty()) {
    const size_t end = std::min(name.find_first_of("./"), name.size());
    parts.push_back(name.substr(0, end));
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return parts;
}

// The lower, the better.
int rank_of(std::string_view prefix) {
  constexpr int teacher = 0, average = 1, plain = 2, student = 3;
  int rank = plain;
  for (const std::string_view part : parts_of(prefix)) {
    if (part == "teacher") return teacher;
    if (part == "student") return student;
    for (const std::string_view name : {"ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict",
                                        "model_ema_state_dict", "ema_model_state_dict"}) {
      if (part == name) rank = average;
    }
  }
  return rank;
}

std::set<std::string> find_prefixes(const std::vector<std::string>& names) {
  std::set<std::string> prefixes;
  for (const std::string& name : names) {
    for (const std::string_view anchor : encoder_anchors) {
      if (!name.ends_with(anchor)) continue;
      const std::string prefix = name.substr(0, name.size() - anchor.size());
      if (prefix.empty() || prefix.ends_with('.') || prefix.ends_with('/')) prefixes.insert(prefix);
    }
  }
  return prefixes;
}

void check_not_flattened(const std::vector<std::string>& names, const std::string& source) {
  for (const std::string& name : names) {
    const size_t begin = name.rfind('.') + 1;  // 0 where there is no dot
    const std::string_view last = std::string_view(name).substr(begin);
    check_input(!last.starts_with("_flat_param") && !last.starts_with("flat_param"),
                "{}: FSDP has flattened its parameters ({}), of which each process saved a part; use the "
                "teacher_checkpoint.pth that DINOv2 writes for evaluation, or save a full state dict",
                source, printable(name));
  }
}

}  // namespace

std::string without_wrappers(std::string_view name) {
  std::string result;
  while (!name.empty()) {
    const size_t end = name.find('.');
    const std::string_view part = name.substr(0, end);
    const bool last = end == std::string_view::npos;
    const bool wrapper = part == "module" || part == "_orig_mod" || part == "_checkpoint_wrapped_module" ||
                         part == "_fsdp_wrapped_module";
    if (last || !wrapper) result += name.substr(0, last ? end : end + 1);
    name.remove_prefix(last ? name.size() : end + 1);
  }
  return result;
}

EncoderChoice choose_encoder(const std::vector<std::string>& names, const std::string& source) {
  const std::set<std::string> found = find_prefixes(names);
  if (found.empty()) check_not_flattened(names, source);
  check_input(!found.empty(), "{}: no ViT encoder in it (no patch_embed.proj.weight among {})", source,
              counted(names.size(), "tensor"));
  std::vector<std::string> order(found.begin(), found.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return rank_of(a) < rank_of(b); });
  const bool clear = order.size() == 1 || (rank_of(order[0]) < rank_of(order[1]) && !found.contains(""));
  check_input(clear, "{}: {} encoders in it, under '{}' and '{}'", source, found.size(),
              printable(*found.begin()), printable(*found.rbegin()));
  return {order[0], {order.begin() + 1, order.end()}};
}

}  // namespace dinomaly
