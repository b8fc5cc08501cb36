// What the readers of all layouts share: listing folders, choosing categories, putting samples in order.
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

// parent/name, or the entry of `parent` that differs from it in upper and lower case only ("Train" for
// "train"): what came from a disk that does not tell them apart. parent/name where there is neither.
std::filesystem::path entry_named(const std::filesystem::path& parent, const std::string& name);

// Throws InputError naming the folder where it is missing or a file.
void check_folder(const std::filesystem::path& folder);

// Regular files ending in png, jpg, jpeg or bmp in any case, by name without extension; hidden files are
// passed over. Throws InputError where two share a name, one is a link to nothing, or the folder cannot be
// listed.
std::map<std::string, std::filesystem::path> images_of(const std::filesystem::path& folder);

// Names of the folders in it that are not hidden.
std::set<std::string> folders_of(const std::filesystem::path& folder);

// A category and a defect name files of the output: throws InputError for what would lead out of its folder
// or is no text for a path. `what` is "category" or "defect".
void check_plain_name(const std::string& name, const std::string& what);

// The categories asked for, in that order, or all of `known` if none is named. Throws InputError for one that
// is named twice or not known; `source` is the file or folder that would have to have it.
std::vector<std::string> chosen_categories(const std::set<std::string>& known,
                                           const std::vector<std::string>& asked, const std::string& source);

// A row of a list: a sample and the part it belongs to.
struct ListedSample {
  Sample sample;
  bool train = false;
};

// Categories out of rows in any order: checked names, sorted, ids made unique by their folders' names where
// files of different folders share one. Throws InputError naming `source` for a training image that is
// anomalous, and for a category without training images.
std::vector<Category> assemble(std::vector<ListedSample> rows, const std::vector<std::string>& asked,
                               const std::string& source);

// Where a category has anomalous test images but no good ones, every fifth training image becomes one
// (anomalib's share of 0.2). Returns how many.
int64_t hold_out_good(Category& category);
// The same whatever the test part holds.
int64_t hold_out_every_fifth(Category& category);

}  // namespace dinomaly
