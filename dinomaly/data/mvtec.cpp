#include "dinomaly/data/mvtec.h"

#include <algorithm>
#include <map>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/folders.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

std::vector<Sample> read_train(const fs::path& folder, const std::string& category) {
  std::vector<Sample> samples;
  for (const auto& [id, image] : images_of(folder)) {
    samples.push_back({.category = category, .defect = "good", .id = id, .image = image, .mask = {}});
  }
  check_input(!samples.empty(), "{}: no images (png, jpg, jpeg, bmp)", folder.string());
  return samples;
}

// Adds the test images of one folder; `good` says whether they are normal.
void read_defect(const fs::path& root, const std::string& category, const std::string& defect, bool good,
                 const std::string& mask_suffix, std::vector<Sample>& samples) {
  const std::map<std::string, fs::path> images = images_of(entry_named(root, "test") / defect);
  if (images.empty()) return;
  const fs::path all_masks = entry_named(root, "ground_truth"), mask_folder = entry_named(all_masks, defect);
  const bool needs_masks = !good && is_folder(all_masks);
  std::map<std::string, fs::path> masks;
  if (needs_masks) masks = images_of(mask_folder);
  for (const auto& [id, image] : images) {
    Sample sample{
        .category = category, .defect = good ? "good" : defect, .id = id, .image = image, .mask = {}};
    sample.anomalous = !good;
    if (needs_masks) {
      const auto mask = masks.find(id + mask_suffix);
      check_input(mask != masks.end(), "{}: its mask {} is missing", image.string(),
                  (mask_folder / (id + mask_suffix + ".png")).string());
      sample.mask = mask->second;
    }
    samples.push_back(sample);
  }
}

}  // namespace

Category read_mvtec_category(const fs::path& folder, const std::string& name, const FolderNames& names) {
  Category category{.name = name,
                    .train = read_train(entry_named(entry_named(folder, "train"), names.good), name),
                    .test = {}};
  const fs::path test = entry_named(folder, "test");
  if (!is_folder(test)) return category;
  const std::set<std::string> defects = folders_of(test);
  if (defects.empty() && !images_of(test).empty()) return category;
  for (const std::string& defect : defects) {
    read_defect(folder, name, defect, lower(defect) == names.good, names.mask_suffix, category.test);
  }
  // The good images' folder may sort elsewhere than "good" does.
  std::stable_sort(category.test.begin(), category.test.end(),
                   [](const Sample& a, const Sample& b) { return a.defect < b.defect; });
  check_input(!category.test.empty(), "{}: no images (png, jpg, jpeg, bmp) in its folders", test.string());
  return category;
}

Dataset read_mvtec(const fs::path& root, const std::vector<std::string>& categories,
                   const FolderNames& names) {
  check_folder(root);
  std::vector<std::string> chosen = categories;
  if (chosen.empty()) {
    // There may be other folders (notes, licences) beside the categories.
    for (const std::string& name : folders_of(root)) {
      if (is_folder(entry_named(root / name, "train"))) chosen.push_back(name);
    }
    check_input(!chosen.empty(), "{}: no category (a folder with train/{}) in it", root.string(), names.good);
  }
  Dataset dataset{.root = root, .categories = {}};
  std::set<std::string> seen;
  for (const std::string& name : chosen) {
    check_plain_name(name, "category");
    check_input(seen.insert(name).second, "the category '{}' is named twice", name);
    check_folder(root / name);
    dataset.categories.push_back(read_mvtec_category(root / name, name, names));
  }
  return dataset;
}

}  // namespace dinomaly
