#include "dinomaly/image/image_files.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  const std::string extension = lower(path.extension().string());
  constexpr std::array<std::string_view, 4> known{".png", ".jpg", ".jpeg", ".bmp"};
  return !path.filename().string().starts_with('.') &&
         std::find(known.begin(), known.end(), extension) != known.end();
}

void check_no_dead_link(const fs::path& path) {
  std::error_code error;
  check_input(!fs::is_symlink(path, error) || fs::exists(path, error),
              "{}: a link to a file that does not exist", path.string());
}

std::vector<fs::path> list_images(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> images;
  fs::recursive_directory_iterator it(folder, error);
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const bool hidden = it->path().filename().string().starts_with('.');
    if (hidden && it->is_directory(ignored)) it.disable_recursion_pending();
    // A dangling link is listed too: reading it reports that its file is missing.
    const bool dead = it->is_symlink(ignored) && !it->exists(ignored);
    if (is_image_name(it->path()) && (dead || it->is_regular_file(ignored))) images.push_back(it->path());
  }
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  std::sort(images.begin(), images.end());
  return images;
}

}  // namespace dinomaly
