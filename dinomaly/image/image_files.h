// Which files are images.
#pragma once

#include <filesystem>
#include <vector>

namespace dinomaly {

// The name ends in png, jpg, jpeg or bmp in any case and is not hidden (a leading dot marks a
// file being written).
bool is_image_name(const std::filesystem::path& path);

// Throws InputError naming a link whose file is missing: skipping it would silently shrink the data.
void check_no_dead_link(const std::filesystem::path& path);

// The images of a folder and of its subfolders, sorted. Links to folders are not followed, hidden folders are
// skipped, dangling links are listed. Throws InputError naming the folder if it cannot be listed.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder);

}  // namespace dinomaly
