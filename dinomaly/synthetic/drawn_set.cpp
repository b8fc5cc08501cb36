#include "dinomaly/synthetic/drawn_set.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/synthetic/scenes.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Increased whenever the images change, so that sets drawn by an older program are redrawn.
constexpr int version = 2;
// The defects of version 1, whose sets are replaced, too.
constexpr std::string_view earlier_defects[] = {"crack", "crushed", "misprint", "broken", "rust", "scratch",
                                                "cut",   "hole",    "stain",    "burn",   "paint"};

constexpr uint64_t longest_marker = 1 << 16;

// The marker at `root`; none: what is there is no set that was drawn.
std::optional<json> marker_at(const fs::path& root) {
  if (!fs::is_regular_file(root / marker_name)) return std::nullopt;
  json content = json::parse(read_file(root / marker_name, longest_marker), nullptr, false);
  if (!content.is_object() || content.value("made_by", json()) != "dinomaly.cpp") return std::nullopt;
  return content;
}

// The names of all files of the set. A marker that somebody has changed names fewer: what is missing is kept.
std::set<fs::path> files_in(const json& marker) {
  const auto number = [&](const char* field) {
    const json value = marker.value(field, json());
    return value.is_number_integer() ? std::min(value.get<int64_t>(), most_drawn) : 0;
  };
  std::set<fs::path> names{marker_name};
  const json categories = marker.value("categories", json());
  const auto add = [&](std::string_view category, std::string_view part, std::string_view defect,
                       int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      names.insert(image_name(category, part, defect, i));
      if (defect != "good") names.insert(mask_name(category, defect, i));
    }
  };
  for (const std::string& category : procedural_categories()) {
    if (std::find(categories.begin(), categories.end(), json(category)) == categories.end()) continue;
    add(category, "train", "good", number("train"));
    add(category, "test", "good", number("good"));
    for (const NamedDefect& defect : all_defects) add(category, "test", defect.name, number("per_defect"));
    if (number("version") >= 2) continue;
    for (const std::string_view defect : earlier_defects) add(category, "test", defect, number("per_defect"));
  }
  return names;
}

// Marks and locks of runs tell a user less than the files beside them.
bool comes_first(const fs::path& a, const fs::path& b) {
  const auto hidden = [](const fs::path& name) { return name.filename().string().starts_with('.'); };
  return hidden(a) != hidden(b) ? hidden(b) : a < b;
}

// The first file below `root` that the set has not, a link or whatever else is no folder being a file; empty: none.
fs::path first_foreign(const fs::path& root, const json& marker) {
  const std::set<fs::path> names = files_in(marker);
  fs::path first;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    if (entry.symlink_status().type() == fs::file_type::directory) continue;
    const fs::path name = entry.path().lexically_relative(root);
    if (!names.contains(name) && (first.empty() || comes_first(name, first))) first = name;
  }
  return first;
}

}  // namespace

fs::path image_name(std::string_view category, std::string_view part, std::string_view defect,
                    int64_t index) {
  return fs::path(category) / part / defect / fmt::format("{:03}.png", index);
}

fs::path mask_name(std::string_view category, std::string_view defect, int64_t index) {
  return fs::path(category) / "ground_truth" / defect / fmt::format("{:03}_mask.png", index);
}

std::string marker_text(const ProceduralOptions& options, const std::vector<std::string_view>& categories) {
  nlohmann::ordered_json marker;
  marker["made_by"] = "dinomaly.cpp";
  marker["version"] = version;
  marker["seed"] = options.seed;
  marker["size"] = options.size;
  marker["train"] = options.train;
  marker["good"] = options.good;
  marker["per_defect"] = options.per_defect;
  marker["categories"] = categories;
  return marker.dump(2) + "\n";
}

bool is_whole(const fs::path& root, const std::string& marker) {
  const std::optional<json> found = marker_at(root);
  if (!found || read_file(root / marker_name, longest_marker) != marker) return false;
  const std::set<fs::path> names = files_in(*found);
  return std::all_of(names.begin(), names.end(),
                     [&](const fs::path& name) { return fs::is_regular_file(root / name); });
}

void check_only_drawn(const fs::path& root, const fs::path& shown) {
  if (fs::is_directory(root) && fs::is_empty(root)) return;
  const std::optional<json> marker = marker_at(root);
  check_input(marker.has_value(), "{}: already exists and is not a generated data set; it was left alone",
              shown.string());
  const fs::path foreign = first_foreign(root, *marker);
  check_input(foreign.empty(),
              "{}: not drawn by this program, and the data set around it would be replaced; all was left "
              "alone: move the file, or name another folder",
              (shown / foreign).string());
}

}  // namespace dinomaly
