#include "dinomaly/data/picture_files.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

bool is_picture_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension) {
    if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
  }
  constexpr std::array<std::string_view, 4> known{".png", ".jpg", ".jpeg", ".bmp"};
  return !path.filename().string().starts_with('.') &&
         std::find(known.begin(), known.end(), extension) != known.end();
}

std::vector<fs::path> list_pictures(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> pictures;
  fs::recursive_directory_iterator it(folder, error);
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const bool hidden = it->path().filename().string().starts_with('.');
    if (hidden && it->is_directory(ignored)) it.disable_recursion_pending();
    if (is_picture_name(it->path()) && it->is_regular_file(ignored)) pictures.push_back(it->path());
  }
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  check_input(!pictures.empty(), "{}: no pictures (png, jpg, jpeg, bmp) in this folder", folder.string());
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

}  // namespace dinomaly
