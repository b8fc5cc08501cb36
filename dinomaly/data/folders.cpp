#include "dinomaly/data/folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <tuple>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/npy_format.h"
#include "dinomaly/image/result_mark.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// The entries of a folder that are not passed over, in no particular order.
std::vector<fs::directory_entry> entries(const fs::path& folder) {
  check_folder(folder);
  std::error_code error;
  std::vector<fs::directory_entry> result;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!is_passed_over_name(it->path())) result.push_back(*it);
  }
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  return result;
}

std::map<std::string, fs::path> by_name(const fs::path& folder, const FolderListing& listing, Notes& notes) {
  if (const size_t count = listing.foreign.size(); count > 0) {
    const fs::path& first = listing.foreign.front();
    fail_input("{}: {} is a format that is not read; PNG, JPEG, TIFF, WebP, BMP, PNM and NPY are{}",
               first.string(), foreign_format_of(first),
               count == 1 ? "" : fmt::format(" ({} such files in this folder)", count));
  }
  if (!listing.others.empty())
    notes.push_back(fmt::format("{}: {}", folder.string(),
                                not_images(static_cast<int64_t>(listing.others.size()), listing.others)));
  std::map<std::string, fs::path> images;
  for (const fs::path& image : listing.images) {
    check_no_dead_link(image);
    const auto [known, added] = images.emplace(image.stem().string(), image);
    check_input(added, "{}: {} and {} share one name", folder.string(), known->second.filename().string(),
                image.filename().string());
  }
  return images;
}

// Files of different folders may share a name (S0001/1.jpg, S0002/1.jpg); then their ids are prefixed with
// the folders' names.
void make_ids_unique(std::vector<Sample>& samples) {
  std::map<std::pair<std::string, std::string>, int> seen;
  for (const Sample& sample : samples) ++seen[{sample.defect, sample.id}];
  for (Sample& sample : samples) {
    if (seen[{sample.defect, sample.id}] < 2) continue;
    std::string id;
    for (const fs::path& part : fs::path(sample.image).replace_extension().relative_path()) {
      if (!id.empty()) id += '_';
      id += part.string();
    }
    sample.id = id;
  }
}

void put_in_order(std::vector<Sample>& samples, const std::string& source) {
  make_ids_unique(samples);
  const auto key = [](const Sample& sample) { return std::tie(sample.defect, sample.id); };
  std::sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  const auto twice = std::adjacent_find(samples.begin(), samples.end(),
                                        [&](const auto& a, const auto& b) { return key(a) == key(b); });
  check_input(twice == samples.end(), "{}: {} is named twice", source,
              twice == samples.end() ? "" : twice->image.string());
}

}  // namespace

fs::path entry_named(const fs::path& parent, const std::string& name) {
  std::error_code error;
  if (fs::exists(parent / name, error) || !is_folder(parent)) return parent / name;
  for (const fs::directory_entry& entry : entries(parent)) {
    const std::string other = entry.path().filename().string();
    if (lower(other) == lower(name)) return parent / other;
  }
  return parent / name;
}

void check_folder(const fs::path& folder) {
  check_exists(folder, "folder");
  std::error_code error;
  check_input(fs::is_directory(folder, error), "{}: not a folder", folder.string());
}

std::map<std::string, fs::path> images_of(const fs::path& folder, Notes& notes) {
  check_folder(folder);
  return by_name(folder, list_folder(folder), notes);
}

std::map<std::string, fs::path> only_images_of(const fs::path& folder, Notes& notes) {
  check_folder(folder);
  const FolderListing listing = list_folder(folder);
  if (!listing.folders.empty() && !is_result_folder(folder)) {
    notes.push_back(fmt::format("{}: the folders in it are not used: {}", folder.string(),
                                count_and_names(listing.folders)));
  }
  return by_name(folder, listing, notes);
}

std::map<std::string, fs::path> masks_of(const fs::path& folder, Notes& notes) {
  check_folder(folder);
  FolderListing listing = list_folder(folder);
  std::erase_if(listing.others, [&](const fs::path& file) {
    const bool labels = lower(file.extension().string()) == ".npy" && is_npy(head_of(file));
    if (labels) listing.images.push_back(file);
    return labels;
  });
  if (!listing.folders.empty()) {
    notes.push_back(fmt::format("{}: the folders in it are not used: {}", folder.string(),
                                count_and_names(listing.folders)));
  }
  return by_name(folder, listing, notes);
}

void check_marks_nothing(const fs::path& mask, const fs::path& good, const std::string& source) {
  check_input(!marks_anything(mask), "{}{}: it marks a defect, but its image {} is called good",
              source.empty() ? "" : source + ": ", mask.string(), good.string());
}

void note_without_images(const fs::path& folder, const std::string& what,
                         const std::map<std::string, fs::path>& files, Notes& notes) {
  std::vector<fs::path> names;
  for (const auto& [name, file] : files) names.push_back(file);
  if (!names.empty())
    notes.push_back(
        fmt::format("{}: {} of no image, not used: {}", folder.string(), what, count_and_names(names)));
}

std::set<std::string> folders_of(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : entries(folder)) {
    std::error_code error;
    if (entry.is_directory(error)) names.insert(entry.path().filename().string());
  }
  return names;
}

void check_plain_name(const std::string& name, const std::string& what, const std::string& source) {
  const bool control = std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20; });
  check_input(!name.empty() && name.size() <= 200 && !control && !name.starts_with('.') &&
                  name.find('/') == std::string::npos,
              "{}'{}' is not a valid name for a {}", source, printable(name), what);
}

std::vector<std::string> chosen_categories(const std::set<std::string>& known,
                                           const std::vector<std::string>& asked, const std::string& source) {
  if (asked.empty()) return {known.begin(), known.end()};
  std::set<std::string> seen;
  for (const std::string& name : asked) {
    check_plain_name(name, "category");
    check_input(seen.insert(name).second, "--categories: '{}' is named twice", name);
    check_input(known.contains(name), "{}: no category '{}'; there are {}{}", source, name,
                printable(fmt::format("{}", fmt::join(known, ", "))),
                did_you_mean(name, {known.begin(), known.end()}));
  }
  return asked;
}

std::vector<Category> assemble(std::vector<ListedSample> rows, const std::vector<std::string>& asked,
                               const std::string& source) {
  std::map<std::string, Category> found;
  std::map<fs::path, bool> trained_on;
  for (ListedSample& row : rows) {
    const Sample& sample = row.sample;
    const auto [known_as, is_new] = trained_on.emplace(sample.image.lexically_normal(), row.train);
    check_input(is_new, "{}: {} is named twice{}", source, sample.image.string(),
                known_as->second == row.train ? "" : ", as a training and a test image");
    check_plain_name(sample.category, "category");
    check_plain_name(sample.defect, "defect");
    check_input(!row.train || !sample.anomalous, "{}: the training image {} is anomalous ({})", source,
                sample.image.string(), sample.defect);
    Category& category = found[sample.category];
    (row.train ? category.train : category.test).push_back(std::move(row.sample));
  }
  std::set<std::string> known;
  for (const auto& [name, category] : found) known.insert(name);
  std::vector<Category> result;
  for (const std::string& name : chosen_categories(known, asked, source)) {
    Category& category = found[name];
    category.name = name;
    put_in_order(category.train, source);
    put_in_order(category.test, source);
    result.push_back(std::move(category));
  }
  check_input(!result.empty(), "{}: no images in it", source);
  return result;
}

int64_t hold_out_good(Category& category) {
  const bool needed =
      !category.test.empty() && std::all_of(category.test.begin(), category.test.end(),
                                            [](const Sample& sample) { return sample.anomalous; });
  return needed ? hold_out_every_fifth(category) : 0;
}

int64_t hold_out_every_fifth(Category& category) {
  std::vector<Sample> kept, held;
  std::map<std::string, size_t> objects;  // by name, in the order of their first views
  size_t next = 0;
  for (const Sample& sample : category.train) {
    size_t object = next;
    if (!sample.object.empty()) object = objects.try_emplace(sample.object, next).first->second;
    if (object == next) ++next;
    (object % 5 == 4 ? held : kept).push_back(sample);
  }
  category.train = kept;
  category.test.insert(category.test.end(), held.begin(), held.end());
  std::sort(category.test.begin(), category.test.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.defect, a.id) < std::tie(b.defect, b.id);
  });
  return static_cast<int64_t>(held.size());
}

}  // namespace dinomaly
