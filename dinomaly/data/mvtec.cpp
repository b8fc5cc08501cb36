#include "dinomaly/data/mvtec.h"

#include <algorithm>
#include <map>
#include <set>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/result_mark.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

std::vector<Sample> read_train(const fs::path& folder, const std::string& category, Notes& notes) {
  std::vector<Sample> samples;
  for (const auto& [id, image] : only_images_of(folder, notes)) {
    samples.push_back({.category = category, .defect = "good", .id = id, .image = image, .mask = {}});
  }
  check_input(!samples.empty(), "{}: no images in it", folder.string());
  return samples;
}

// Masks of defects, or in folders of images, that are not among the test images.
void note_mask_folders(const fs::path& masks, const std::set<std::string>& known, Notes& notes) {
  if (!is_folder(masks)) return;
  std::map<std::string, fs::path> unused;
  for (const std::string& name : folders_of(masks)) {
    const bool is_known = std::any_of(known.begin(), known.end(),
                                      [&](const std::string& other) { return lower(other) == lower(name); });
    if (!is_known) unused.emplace(name, name);
  }
  note_without_images(masks, "folders", unused, notes);
}

// Images of other folders, and beside the one folder of good images, are not trained on.
void note_unused(const fs::path& train, const std::string& good, Notes& notes) {
  std::vector<fs::path> unused;
  for (const std::string& name : folders_of(train)) {
    if (lower(name) != lower(good)) unused.emplace_back(name);
  }
  for (const auto& [id, image] : images_of(train, notes)) unused.push_back(image);
  if (!unused.empty())
    notes.push_back(
        fmt::format("{}: beside {}, not used: {}", train.string(), good, count_and_names(unused)));
}

// All masks of one anomalous image.
void add_masks_in_folder(const fs::path& folder, Sample& sample, Notes& notes) {
  check_input(is_folder(folder), "{}: the folder of its masks, {}, is missing", sample.image.string(),
              folder.string());
  const auto masks = masks_of(folder, notes);
  check_input(!masks.empty(), "{}: there is no mask in {}", sample.image.string(), folder.string());
  for (const auto& [id, mask] : masks) {
    if (sample.mask)
      sample.further_masks.push_back(mask);
    else
      sample.mask = mask;
  }
}

// Beside the folders of AutoVI's masks.
std::map<std::string, fs::path> masks_in_no_folder(const fs::path& folder) {
  Notes other_files;
  return masks_of(folder, other_files);
}

// Adds the test images of one folder; `good` says whether they are normal.
void read_defect(const fs::path& root, const std::string& category, const std::string& defect, bool good,
                 const FolderNames& names, std::vector<Sample>& samples, Notes& notes) {
  const std::map<std::string, fs::path> images = only_images_of(entry_named(root, "test") / defect, notes);
  if (images.empty()) return;
  const fs::path all_masks = entry_named(root, "ground_truth"), mask_folder = entry_named(all_masks, defect);
  const bool needs_masks = !good && is_folder(all_masks);
  std::map<std::string, fs::path> masks;
  if (!names.masks_in_folders && (needs_masks || is_folder(mask_folder)))
    masks = masks_of(mask_folder, notes);
  for (const auto& [id, image] : images) {
    Sample sample{
        .category = category, .defect = good ? "good" : defect, .id = id, .image = image, .mask = {}};
    sample.anomalous = !good;
    if (needs_masks && names.masks_in_folders) {
      add_masks_in_folder(mask_folder / id, sample, notes);
    } else if (const auto mask = masks.find(id + names.mask_suffix); good && mask != masks.end()) {
      check_marks_nothing(mask->second, image);
    } else if (needs_masks) {
      check_input(mask != masks.end(), "{}: its mask {} is missing", image.string(),
                  (mask_folder / (id + names.mask_suffix + ".png")).string());
      sample.mask = mask->second;
    }
    masks.erase(id + names.mask_suffix);
    samples.push_back(sample);
  }
  if (needs_masks && names.masks_in_folders) {
    std::set<std::string> ids;
    for (const auto& [id, image] : images) ids.insert(id);
    note_mask_folders(mask_folder, ids, notes);
    masks = masks_in_no_folder(mask_folder);
  }
  note_without_images(mask_folder, "masks", masks, notes);
}

}  // namespace

Category read_mvtec_category(const fs::path& folder, const std::string& name, Notes& notes,
                             const FolderNames& names) {
  const fs::path train = entry_named(folder, "train");
  const fs::path test = entry_named(folder, "test");
  Category category{.name = name, .train = {}, .test = {}};
  if (is_folder(train) || !is_folder(test)) {  // to be judged, test images are enough
    category.train = read_train(entry_named(train, names.good), name, notes);
    note_unused(train, names.good, notes);
  }
  if (!is_folder(test)) return category;
  const std::set<std::string> defects = folders_of(test);
  const auto beside = images_of(test, notes);
  if (defects.empty() && !beside.empty()) return category;
  if (!beside.empty())
    notes.push_back(fmt::format("{}: {} in no folder and not used", test.string(),
                                counted(static_cast<int64_t>(beside.size()), "image is", "images are")));
  for (const std::string& defect : defects) {
    read_defect(folder, name, defect, lower(defect) == names.good, names, category.test, notes);
  }
  note_mask_folders(entry_named(folder, "ground_truth"), defects, notes);
  // The good images' folder may sort elsewhere than "good" does.
  std::stable_sort(category.test.begin(), category.test.end(),
                   [](const Sample& a, const Sample& b) { return a.defect < b.defect; });
  check_input(!category.test.empty(), "{}: no images in its folders", test.string());
  return category;
}

Dataset read_mvtec(const fs::path& root, const std::vector<std::string>& categories,
                   const FolderNames& names) {
  check_folder(root);
  Dataset dataset{.root = root, .categories = {}};
  std::vector<std::string> chosen = categories;
  if (chosen.empty()) {
    // There may be other folders (notes, licences) beside the categories.
    std::vector<fs::path> others;
    for (const std::string& name : folders_of(root)) {
      if (is_folder(entry_named(root / name, "train")) ||
          is_folder(entry_named(entry_named(root / name, "test"), names.good)))
        chosen.push_back(name);
      else if (!is_result_folder(root / name))
        others.push_back(name);
    }
    if (!others.empty())
      dataset.notes.push_back(
          fmt::format("{}: folders without train are not used: {}", root.string(), count_and_names(others)));
    check_input(!chosen.empty(), "{}: no category (a folder with train/{}) in it", root.string(), names.good);
  }
  std::set<std::string> seen;
  for (const std::string& name : chosen) {
    check_plain_name(name, "category");
    check_input(seen.insert(name).second, "--categories: '{}' is named twice", name);
    std::error_code error;
    if (fs::status(root / name, error).type() == fs::file_type::not_found) {
      const std::set<std::string> known = folders_of(root);
      fail_input("{}: no such folder{}", (root / name).string(),
                 did_you_mean(name, {known.begin(), known.end()}));
    }
    check_folder(root / name);
    dataset.categories.push_back(read_mvtec_category(root / name, name, dataset.notes, names));
  }
  return dataset;
}

}  // namespace dinomaly
