// Which files make up a set of make_dataset(), so that no other file is taken for one of them and lost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dinomaly/synthetic/procedural.h"

namespace dinomaly {

inline constexpr const char* marker_name = "dataset.json";
inline constexpr int64_t most_drawn = 100'000;  // images of a kind

// Names below the set's folder; `part`: "train" or "test", `defect`: "good" for a good image.
std::filesystem::path image_name(std::string_view category, std::string_view part, std::string_view defect,
                                 int64_t index);
std::filesystem::path mask_name(std::string_view category, std::string_view defect, int64_t index);

// The text of the file dataset.json, from which follows which files belong to the set.
std::string marker_text(const ProceduralOptions& options, const std::vector<std::string_view>& categories);

// Whether the set with this marker is at `root`, and none of its files is missing.
bool is_whole(const std::filesystem::path& root, const std::string& marker);

// Throws InputError unless `root` is empty or a set that was drawn, of any options, and nothing else; the first file that
// was not drawn is named. `shown`: the user's name for `root`. Files are told by their names alone.
void check_only_drawn(const std::filesystem::path& root, const std::filesystem::path& shown);

}  // namespace dinomaly
