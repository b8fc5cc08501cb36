#include "dinomaly/data/image_folder.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/companions.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/pairs.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

const std::set<std::string> good_names{"good", "ok", "normal"}, mask_names{"ground_truth", "masks"};

// "." and "data/" have names too.
std::string folder_name(const fs::path& root) {
  check_exists(root, "folder");
  std::error_code error;
  fs::path whole = fs::canonical(root, error);
  check_input(!error, "{}: cannot read: {}", root.string(), error.message());
  return whole.has_filename() ? whole.filename().string() : "images";
}

constexpr std::string_view depth_suffix = "_depth";

// ID_depth.tiff is no image where there is an image ID: it is the depth of that.
bool is_depth_of_another(const std::string& id, const std::map<std::string, fs::path>& images) {
  return id.ends_with(depth_suffix) && images.contains(id.substr(0, id.size() - depth_suffix.size()));
}

// But for masks, which are noted.
void add_images(const std::string& category, const std::string& defect,
                std::map<std::string, fs::path> images, std::vector<ListedSample>& rows, Notes& notes) {
  std::vector<fs::path> masks;
  std::erase_if(images, [&](const auto& image) {
    const bool is_mask = is_mask_by_place(image.second);
    if (is_mask) masks.push_back(image.second);
    return is_mask;
  });
  if (!masks.empty())
    notes.push_back(fmt::format("{}: masks are no images and not used: {}",
                                masks.front().parent_path().string(), count_and_names(masks)));
  for (const auto& [id, image] : images) {
    if (is_depth_of_another(id, images)) continue;
    ListedSample row;
    row.sample = {.category = category, .defect = defect, .id = id, .image = image, .mask = {}};
    if (images.contains(id + std::string(depth_suffix))) row.sample.depth = depth_of(image);
    row.sample.anomalous = defect != "good";
    row.train = !row.sample.anomalous;
    rows.push_back(std::move(row));
  }
}

// Finds the masks of one defect's images: either all have one or none. `folder` may hold those of good images, too.
void add_masks(const fs::path& folder, const std::string& defect, std::vector<Sample>& samples,
               Notes& notes) {
  if (!is_folder(folder)) return;
  const auto masks = masks_of(folder, notes);
  for (Sample& sample : samples) {
    if (sample.defect != defect) continue;
    auto mask = masks.find(sample.id);
    if (mask == masks.end()) mask = masks.find(sample.id + "_mask");
    if (!sample.anomalous) {
      if (mask != masks.end()) check_marks_nothing(mask->second, sample.image);
      continue;
    }
    check_input(mask != masks.end(), "{}: its mask {} is missing", sample.image.string(),
                (folder / (sample.id + ".png")).string());
    sample.mask = mask->second;
  }
}

// All images have a depth, or none has.
void check_depths(const std::vector<ListedSample>& rows) {
  const auto has_none = [](const ListedSample& row) { return !row.sample.depth; };
  const auto first = std::find_if(rows.begin(), rows.end(), has_none);
  check_input(first == rows.end() || std::all_of(rows.begin(), rows.end(), has_none), "{}",
              first == rows.end() ? "" : missing_depth(first->sample.image) + "; other images have one");
}

// The usual words for parts that are not good; each may have an s or es at its end.
const std::set<std::string> defect_words{
    "abnormal", "anomalies", "anomalous", "anomaly",  "bad",     "broken",   "contaminated", "contamination",
    "crack",    "cracked",   "damage",    "damaged",  "defect",  "dent",     "defective",    "dented",
    "fail",     "failed",    "failure",   "fault",    "faulty",  "flaw",     "ko",           "ng",
    "nio",      "nok",       "reject",    "rejected", "scratch", "scratched"};
const std::set<std::string> negations{"free", "no", "non", "not", "without"};

enum class Told { nothing, good, defective };

// What a folder's name says of the parts it shows, by its words: "NG_2024" and "not good", "ok" and "no defects".
Told told_by_name(const fs::path& folder) {
  std::set<std::string> words;
  std::string word;
  for (const char letter : lower(folder.filename().string()) + " ") {
    if (letter < 'a' || letter > 'z') {
      words.insert(std::exchange(word, ""));
    } else {
      word += letter;
    }
  }
  const auto any = [&](const std::set<std::string>& known) {
    return std::any_of(known.begin(), known.end(), [&](const std::string& name) {
      return words.contains(name) || words.contains(name + "s") || words.contains(name + "es");
    });
  };
  const bool negated = any(negations);
  if (any(defect_words)) return negated ? Told::good : Told::defective;
  if (any(good_names)) return negated ? Told::defective : Told::good;
  return Told::nothing;
}

bool has_good_folder(const fs::path& folder) {
  return std::any_of(good_names.begin(), good_names.end(),
                     [&](const std::string& good) { return is_folder(entry_named(folder, good)); });
}

// The test part of a data set, not just any folder of that name.
bool is_test_part(const fs::path& folder) {
  if (lower(folder.filename().string()) != "test") return false;
  const fs::path category = folder.parent_path();
  return has_good_folder(folder) || is_folder(entry_named(category, "train")) ||
         is_folder(entry_named(category, "ground_truth"));
}

}  // namespace

bool names_defects(const fs::path& folder) {
  std::error_code error;
  const fs::path whole = fs::canonical(folder, error);
  if (error) return false;
  // The nearest folder that says something counts; those above may be called anything, as a disk for "scratch".
  for (fs::path place = whole; place.has_relative_path(); place = place.parent_path()) {
    const Told told = told_by_name(place);
    if (told == Told::good) return false;
    if (is_test_part(place.parent_path())) return true;
    if (told == Told::defective && (place == whole || has_good_folder(place.parent_path()))) return true;
  }
  return false;
}

Dataset read_image_folder(const fs::path& root, const std::vector<std::string>& categories) {
  check_folder(root);
  const std::string name = folder_name(root);
  std::vector<ListedSample> rows;
  Notes notes;
  add_images(name, "good", images_of(root, notes), rows, notes);
  std::set<std::string> defects;
  for (const std::string& folder : folders_of(root)) {
    if (mask_names.contains(lower(folder))) continue;
    const bool good = good_names.contains(lower(folder));
    const size_t before = rows.size();
    add_images(name, good ? "good" : folder, only_images_of(root / folder, notes), rows, notes);
    if (!good && rows.size() > before) defects.insert(folder);
  }
  check_input(!rows.empty(), "{}: no images, and no known layout", root.string());
  check_depths(rows);
  Dataset dataset{.root = root, .categories = assemble(std::move(rows), categories, root.string())};
  Category& category = dataset.categories.front();
  for (const std::string& defect : defects) {
    for (const std::string& masks : mask_names)
      add_masks(entry_named(entry_named(root, masks), defect), defect, category.test, notes);
  }
  for (const std::string& good : good_names) {
    for (const std::string& masks : mask_names)
      add_masks(entry_named(entry_named(root, masks), good), "good", category.train, notes);
  }
  dataset.notes = std::move(notes);
  note_depth_kinds(dataset);
  const int64_t held = hold_out_good(category);
  if (held > 0) {
    dataset.notes.push_back(
        fmt::format("{}: {} held out for testing", name,
                    counted(held, "good image (every fifth) is", "good images (every fifth) are")));
  }
  return dataset;
}

}  // namespace dinomaly
