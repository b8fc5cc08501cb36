#include "dinomaly/data/mvtec.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <system_error>

#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension) {
    if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
  }
  constexpr std::array<std::string_view, 4> known{".png", ".jpg", ".jpeg", ".bmp"};
  return std::find(known.begin(), known.end(), extension) != known.end();
}

void check_folder(const fs::path& folder) {
  std::error_code error;
  check_input(fs::exists(folder, error), "{}: no such folder", folder.string());
  check_input(fs::is_directory(folder, error), "{}: not a folder", folder.string());
}

// The entries of a folder that are not hidden, in no particular order.
std::vector<fs::directory_entry> entries(const fs::path& folder) {
  check_folder(folder);
  std::error_code error;
  std::vector<fs::directory_entry> result;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) result.push_back(*it);
  }
  check_input(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  return result;
}

// Images by id; a map, so sorted.
std::map<std::string, fs::path> images_of(const fs::path& folder) {
  std::map<std::string, fs::path> images;
  for (const fs::directory_entry& entry : entries(folder)) {
    std::error_code error;
    if (!is_image_name(entry.path()) || !entry.is_regular_file(error)) continue;
    const auto [known, added] = images.emplace(entry.path().stem().string(), entry.path());
    check_input(added, "{}: {} and {} share one name", folder.string(), known->second.filename().string(),
                entry.path().filename().string());
  }
  return images;
}

std::set<std::string> folders_of(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : entries(folder)) {
    std::error_code error;
    if (entry.is_directory(error)) names.insert(entry.path().filename().string());
  }
  return names;
}

std::vector<Sample> read_train(const fs::path& root, const std::string& category) {
  const fs::path folder = root / category / "train" / "good";
  std::vector<Sample> samples;
  for (const auto& [id, image] : images_of(folder)) {
    samples.push_back({.category = category, .defect = "good", .id = id, .image = image, .mask = {}});
  }
  check_input(!samples.empty(), "{}: no images (png, jpg, jpeg, bmp)", folder.string());
  return samples;
}

void read_defect(const fs::path& root, const std::string& category, const std::string& defect,
                 std::vector<Sample>& samples) {
  const bool anomalous = defect != "good";
  const std::map<std::string, fs::path> images = images_of(root / category / "test" / defect);
  if (images.empty()) return;
  const fs::path mask_folder = root / category / "ground_truth" / defect;
  std::map<std::string, fs::path> masks;
  if (anomalous) masks = images_of(mask_folder);
  for (const auto& [id, image] : images) {
    Sample sample{.category = category, .defect = defect, .id = id, .image = image, .mask = {}};
    sample.anomalous = anomalous;
    if (anomalous) {
      const auto mask = masks.find(id + "_mask");
      check_input(mask != masks.end(), "{}: its mask {} is missing", image.string(),
                  (mask_folder / (id + "_mask.png")).string());
      sample.mask = mask->second;
    }
    samples.push_back(sample);
  }
}

Category read_category(const fs::path& root, const std::string& name) {
  // A category names folders of the output too: it may not lead out of them.
  check_input(!name.empty() && !name.starts_with('.') && name.find('/') == std::string::npos,
              "'{}' is not the name of a category", name);
  check_folder(root / name);
  Category category{.name = name, .train = read_train(root, name), .test = {}};
  const fs::path test = root / name / "test";
  for (const std::string& defect : folders_of(test)) read_defect(root, name, defect, category.test);
  check_input(!category.test.empty(), "{}: no images (png, jpg, jpeg, bmp) in its folders", test.string());
  return category;
}

}  // namespace

Dataset read_mvtec(const fs::path& root, const std::vector<std::string>& categories) {
  check_folder(root);
  std::vector<std::string> names = categories;
  if (names.empty()) {
    // Other folders (notes, licences) may stand beside the categories.
    for (const std::string& name : folders_of(root)) {
      std::error_code error;
      if (fs::is_directory(root / name / "train", error)) names.push_back(name);
    }
    check_input(!names.empty(), "{}: no category (a folder with train/good) in it", root.string());
  }
  Dataset dataset{.root = root, .categories = {}};
  std::set<std::string> seen;
  for (const std::string& name : names) {
    check_input(seen.insert(name).second, "the category '{}' is named twice", name);
    dataset.categories.push_back(read_category(root, name));
  }
  return dataset;
}

}  // namespace dinomaly
