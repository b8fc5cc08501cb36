// What the readers of all layouts share: listing folders, choosing categories, sorting samples.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/data/dataset.h"

namespace dinomaly {

// parent/name, or else the entry of `parent` that differs from it only in case ("Train" for "train"), since
// the data may come from a case-insensitive disk. parent/name if there is neither.
std::filesystem::path entry_named(const std::filesystem::path& parent, const std::string& name);

// Throws InputError naming the folder if it is missing or a file.
void check_folder(const std::filesystem::path& folder);

// What a reader leaves aside, in a few words each, for Dataset::notes.
using Notes = std::vector<std::string>;

// The images of a folder (image_files.h), by name without extension. Notes name its other files.
// Throws InputError if two share a name, one is of a format that is not read or a dangling link, or the folder
// cannot be listed.
std::map<std::string, std::filesystem::path> images_of(const std::filesystem::path& folder, Notes& notes);
// The same where no folders are expected: those that it holds are noted too.
std::map<std::string, std::filesystem::path> only_images_of(const std::filesystem::path& folder,
                                                            Notes& notes);

// The same for masks, which may also be arrays of labels (read_npy_labels() in npy_format.h).
std::map<std::string, std::filesystem::path> masks_of(const std::filesystem::path& folder, Notes& notes);

// Throws InputError naming `source` (a row of a list), mask and image where the mask of a good image says that something is
// defective: one of the two is wrong.
void check_marks_nothing(const std::filesystem::path& mask, const std::filesystem::path& good,
                         const std::string& source = "");

// Notes the files of a folder that belong to no image; `what` they are: "masks".
void note_without_images(const std::filesystem::path& folder, const std::string& what,
                         const std::map<std::string, std::filesystem::path>& files, Notes& notes);

// Names of its subfolders that are neither hidden nor a system's.
std::set<std::string> folders_of(const std::filesystem::path& folder);

// Categories and defects name output files, so this throws InputError for a name that would lead out of the
// folder or cannot be a path. `what` is "category" or "defect", `source` what the message begins with.
void check_plain_name(const std::string& name, const std::string& what, const std::string& source = "");

// The requested categories, in that order, or all of `known` if none is named. Throws InputError for one that
// is named twice or unknown; `source` is the file or folder that lacks it.
std::vector<std::string> chosen_categories(const std::set<std::string>& known,
                                           const std::vector<std::string>& asked, const std::string& source);

// A row of a list: a sample and the split it belongs to.
struct ListedSample {
  Sample sample;
  bool train = false;
};

// Builds categories from rows in any order: names are checked, samples sorted, and ids that files of
// different folders share are made unique by their folders' names. Throws InputError naming `source` for a
// training image that is anomalous, and for an image that two rows name. A category may have test images alone.
std::vector<Category> assemble(std::vector<ListedSample> rows, const std::vector<std::string>& asked,
                               const std::string& source);

// If a category has anomalous test images but no good ones, every fifth training image (or object, with all of its
// views) becomes a good test image (anomalib's share of 0.2). Returns how many
// images.
int64_t hold_out_good(Category& category);
// The same, whatever test images there are.
int64_t hold_out_every_fifth(Category& category);

}  // namespace dinomaly
