// Which files are images.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dinomaly {

enum class FileKind {
  image,    // of a format that is read, by its first bytes or else by its name; a dangling link to one too
  foreign,  // of an image format that is not read
  other,    // no image
  passed_over,  // hidden, the system's, or written by this program (result_mark.h)
};
// Of a foreign one: the name of its format.
std::string foreign_format_of(const std::filesystem::path& file);
// `among_results`: it lies in or below a folder marked by mark_result_folder().
FileKind kind_of(const std::filesystem::path& file, bool among_results = false);

// The first bytes, 256 of them where it has so many: enough to recognise a format. Empty for what is no file.
std::string head_of(const std::filesystem::path& path);

// Hidden (a leading dot also marks a file being written) or one of those that systems leave in folders, such
// as Thumbs.db or __MACOSX.
bool is_passed_over_name(const std::filesystem::path& path);

// The name ends in png, jpg, jpeg, jpe, jfif, bmp, dib, tif, tiff, webp, pgm, ppm, pbm, pnm or npy in any case,
// or as images of a format that is not read do, and is not passed over. (Of arrays, npy, few are images: kind_of().)
bool is_image_name(const std::filesystem::path& path);

// An existing file that this program has written as a result.
bool is_own_result(const std::filesystem::path& file);

// Throws InputError naming the file where a result is to be written to the name of an existing file that is none,
// such as an image that lies in the folder for results.
void check_result_place(const std::filesystem::path& file);

// Throws InputError naming a link whose file is missing: skipping it would silently shrink the data.
void check_no_dead_link(const std::filesystem::path& path);

struct FolderListing {
  std::vector<std::filesystem::path> images;   // sorted
  std::vector<std::filesystem::path> foreign;  // sorted
  std::vector<std::filesystem::path> others;   // sorted
  std::vector<std::filesystem::path> folders;  // sorted; list_folder() only
};

// What is in a folder itself. Throws InputError naming it if it cannot be listed.
FolderListing list_folder(const std::filesystem::path& folder);

// The files of a folder and of its subfolders. Links to folders are followed; no folder is read twice, so that
// a loop ends. Throws InputError naming the folder that cannot be listed.
FolderListing list_images(const std::filesystem::path& folder);

// "3: a.txt, b.csv, c.json": the count and at most ten of the names, for one line.
std::string count_and_names(const std::vector<std::filesystem::path>& files);
// "2 files are not images and are left out: a.txt, b.csv"; the first ten of `count` files are enough.
std::string not_images(int64_t count, const std::vector<std::filesystem::path>& first);

}  // namespace dinomaly
