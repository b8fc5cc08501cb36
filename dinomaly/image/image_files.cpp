#include "dinomaly/image/image_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/result_mark.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> result;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!is_passed_over_name(it->path())) result.push_back(it->path());
  }
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  std::sort(result.begin(), result.end());
  return result;
}

void add_file(const fs::path& file, bool among_results, FolderListing& listing) {
  switch (kind_of(file, among_results)) {
    case FileKind::image:
      return listing.images.push_back(file);
    case FileKind::foreign:
      return listing.foreign.push_back(file);
    case FileKind::other:
      return listing.others.push_back(file);
    case FileKind::passed_over:
      return;
  }
}

// Of so many files, the first few.
std::string some_names(int64_t count, const std::vector<fs::path>& first) {
  constexpr size_t most = 10;
  std::string text;
  const size_t named = std::min(first.size(), most);
  for (size_t i = 0; i < named; ++i) text += (i == 0 ? "" : ", ") + one_line(first[i].filename().string());
  const int64_t more = count - static_cast<int64_t>(named);
  return more > 0 ? text + fmt::format(" and {} more", more) : text;
}

}  // namespace

std::string head_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return "";
  std::string head(256, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
  return head;
}

bool is_passed_over_name(const fs::path& path) {
  static const std::set<std::string> of_systems{"thumbs.db",  "ehthumbs.db", "desktop.ini",
                                                "icon\r",     "__macosx",    "$recycle.bin",
                                                "lost+found", "@eadir",      "system volume information"};
  const std::string name = lower(path.filename().string());
  return name.starts_with('.') || of_systems.contains(name);
}

bool is_image_name(const fs::path& path) {
  static const std::set<std::string> known{".png",  ".jpg",  ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif",
                                           ".tiff", ".webp", ".pgm",  ".ppm", ".pbm",  ".pnm", ".npy"};
  if (is_passed_over_name(path)) return false;
  return known.contains(lower(path.extension().string())) || !foreign_format("", path).empty();
}

bool is_own_result(const fs::path& file) {
  const std::string head = head_of(file);
  return !head.empty() && is_result(file, head);
}

void check_result_place(const fs::path& file) {
  std::error_code ignored;
  check_input(!fs::exists(file, ignored) || is_own_result(file),
              "{}: exists and is no result of this program, which therefore does not replace it",
              file.string());
}

std::string foreign_format_of(const fs::path& file) { return foreign_format(head_of(file), file); }

FileKind kind_of(const fs::path& file, bool among_results) {
  if (is_passed_over_name(file)) return FileKind::passed_over;
  // Most arrays are no images: their header decides.
  const bool named_so = is_image_name(file) && lower(file.extension().string()) != ".npy";
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    // Reading a dangling link reports that its file is missing.
    return named_so && !fs::exists(file, error) ? FileKind::image : FileKind::other;
  }
  const std::string head = head_of(file);
  if (is_result(file, head)) return FileKind::passed_over;
  if (!foreign_format(head, file).empty()) return FileKind::foreign;
  if (named_so || format_of(head) != ImageFormat::unknown) return FileKind::image;
  return among_results ? FileKind::passed_over : FileKind::other;
}

void check_no_dead_link(const fs::path& path) {
  std::error_code error;
  check_input(!fs::is_symlink(path, error) || fs::exists(path, error),
              "{}: a link to a file that does not exist", path.string());
}

FolderListing list_folder(const fs::path& folder) {
  FolderListing listing;
  const bool among_results = is_result_folder(folder);
  for (const fs::path& entry : entries_of(folder)) {
    if (is_folder(entry))
      listing.folders.push_back(entry);
    else
      add_file(entry, among_results, listing);
  }
  return listing;
}

FolderListing list_images(const fs::path& folder) {
  FolderListing listing;
  std::set<std::pair<dev_t, ino_t>> seen;
  // Folders before links to folders, so that a file that both lead to goes by its own name.
  std::deque<std::pair<fs::path, bool>> folders{{folder, false}}, links;
  while (!folders.empty() || !links.empty()) {
    std::deque<std::pair<fs::path, bool>>& from = folders.empty() ? links : folders;
    const auto [current, below_results] = from.front();
    from.pop_front();
    struct stat status;
    if (stat(current.c_str(), &status) == 0 && !seen.emplace(status.st_dev, status.st_ino).second) continue;
    const bool among_results = below_results || is_result_folder(current);
    for (const fs::path& entry : entries_of(current)) {
      std::error_code ignored;
      if (!is_folder(entry))
        add_file(entry, among_results, listing);
      else
        (fs::is_symlink(entry, ignored) ? links : folders).emplace_back(entry, among_results);
    }
  }
  for (std::vector<fs::path>* files : {&listing.images, &listing.foreign, &listing.others})
    std::sort(files->begin(), files->end());
  return listing;
}

std::string count_and_names(const std::vector<fs::path>& files) {
  const auto count = static_cast<int64_t>(files.size());
  return fmt::format("{}: {}", count, some_names(count, files));
}

std::string not_images(int64_t count, const std::vector<fs::path>& first) {
  return fmt::format("{} left out: {}",
                     counted(count, "file is not an image and is", "files are not images and are"),
                     some_names(count, first));
}

}  // namespace dinomaly
