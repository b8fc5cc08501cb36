// Which files are images.
#pragma once

#include <filesystem>
#include <vector>

namespace dinomaly {

// The name ends in png, jpg, jpeg or bmp in any case and is not hidden (a dot in front: files in the making).
bool is_image_name(const std::filesystem::path& path);

// Throws InputError naming a link whose file is not there: passed over, it would make the data silently
// fewer.
void check_no_dead_link(const std::filesystem::path& path);

// The images of a folder and of the folders below it, sorted; links to folders are not followed, hidden
// folders passed over, links to nothing listed. Throws InputError naming the folder if it cannot be listed.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder);

}  // namespace dinomaly
