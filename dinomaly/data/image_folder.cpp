#include "dinomaly/data/image_folder.h"

#include <set>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/folders.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

const std::set<std::string> good_names{"good", "ok", "normal"}, mask_names{"ground_truth", "masks"};

// "." and "data/" have names too.
std::string folder_name(const fs::path& root) {
  std::error_code error;
  fs::path whole = fs::canonical(root, error);
  check_input(!error, "{}: no such folder", root.string());
  return whole.has_filename() ? whole.filename().string() : "images";
}

void add_images(const fs::path& folder, const std::string& category, const std::string& defect,
                std::vector<ListedSample>& rows) {
  for (const auto& [id, image] : images_of(folder)) {
    ListedSample row;
    row.sample = {.category = category, .defect = defect, .id = id, .image = image, .mask = {}};
    row.sample.anomalous = defect != "good";
    row.train = !row.sample.anomalous;
    rows.push_back(std::move(row));
  }
}

// Finds the masks of one defect's images: either all have one or none.
void add_masks(const fs::path& folder, const std::string& defect, std::vector<Sample>& test) {
  if (!is_folder(folder)) return;
  const auto masks = images_of(folder);
  for (Sample& sample : test) {
    if (sample.defect != defect) continue;
    auto mask = masks.find(sample.id);
    if (mask == masks.end()) mask = masks.find(sample.id + "_mask");
    check_input(mask != masks.end(), "{}: its mask {} is missing", sample.image.string(),
                (folder / (sample.id + ".png")).string());
    sample.mask = mask->second;
    sample.label_mask = true;
  }
}

}  // namespace

Dataset read_image_folder(const fs::path& root, const std::vector<std::string>& categories) {
  check_folder(root);
  const std::string name = folder_name(root);
  std::vector<ListedSample> rows;
  add_images(root, name, "good", rows);
  std::set<std::string> defects;
  for (const std::string& folder : folders_of(root)) {
    if (mask_names.contains(lower(folder))) continue;
    const bool good = good_names.contains(lower(folder));
    add_images(root / folder, name, good ? "good" : folder, rows);
    if (!good) defects.insert(folder);
  }
  check_input(!rows.empty(), "{}: no images (png, jpg, jpeg, bmp), and no known layout", root.string());
  Dataset dataset{.root = root, .categories = assemble(std::move(rows), categories, root.string())};
  Category& category = dataset.categories.front();
  for (const std::string& defect : defects) {
    for (const std::string& masks : mask_names)
      add_masks(entry_named(entry_named(root, masks), defect), defect, category.test);
  }
  const int64_t held = hold_out_good(category);
  if (held > 0) {
    dataset.notes.push_back(
        fmt::format("{}: {} good images (every fifth) are held out for testing", name, held));
  }
  return dataset;
}

}  // namespace dinomaly
