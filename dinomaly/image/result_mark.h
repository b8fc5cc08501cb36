// How the program recognises its own results, which it must not judge or train on again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace dinomaly {

// The software that results name: in a PNG as a text chunk, in a TIFF as a tag.
inline constexpr const char* result_mark = "dinomaly";

// The bytes of a PNG with that chunk behind its header.
std::string with_result_mark(const std::string& png);
// Whether a file is a picture or a map that the program has written as a result. `head`: its first bytes, 256
// of them where it has so many.
bool is_result(const std::filesystem::path& path, std::string_view head);

// Whether a folder is missing or empty. One that holds something already is the user's and is not to be marked.
bool is_unused_folder(const std::filesystem::path& folder);
// Marks a folder of results: those of its files that are no images (models, tables) are passed over. To be done
// once nothing can be refused any more. Does nothing where it is impossible.
void mark_result_folder(const std::filesystem::path& folder);
bool is_result_folder(const std::filesystem::path& folder);

}  // namespace dinomaly
