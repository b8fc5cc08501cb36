#include "dinomaly/data/layout.h"

#include <algorithm>
#include <array>
#include <functional>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/image_folder.h"
#include "dinomaly/data/listed.h"
#include "dinomaly/data/mvtec.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

struct KnownLayout {
  Layout layout;
  const char* flag;
  const char* title;
};
constexpr std::array<KnownLayout, 8> known_layouts{{{Layout::automatic, "auto", ""},
                                                    {Layout::mvtec, "mvtec", "MVTec AD (or MPDD)"},
                                                    {Layout::visa_raw, "visa-raw", "VisA as published"},
                                                    {Layout::visa, "visa", "VisA rearranged"},
                                                    {Layout::real_iad, "real-iad", "Real-IAD"},
                                                    {Layout::btad, "btad", "BTAD"},
                                                    {Layout::csv, "csv", "a CSV list"},
                                                    {Layout::folder, "folder", "a plain folder"}}};

bool any_category(const fs::path& root, const std::function<bool(const fs::path&)>& fits) {
  const auto names = folders_of(root);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return fits(root / name); });
}

bool has_train(const fs::path& folder, const char* good) {
  return is_folder(entry_named(entry_named(folder, "train"), good));
}
bool has_good(const fs::path& folder) { return has_train(folder, "good"); }
bool has_ok(const fs::path& folder) { return has_train(folder, "ok"); }

// VisA rearranged differs from MVTec AD in its only defect, "bad", and in the masks' names.
bool is_rearranged_visa(const fs::path& category) {
  const fs::path masks = entry_named(entry_named(category, "ground_truth"), "bad");
  const fs::path bad = entry_named(entry_named(category, "test"), "bad");
  if (!has_train(category, "good") || !is_folder(bad) || !is_folder(masks)) return false;
  Notes ignored;  // its reader will note them
  const auto images = images_of(bad, ignored);
  return !images.empty() && images_of(masks, ignored).contains(images.begin()->first);
}

// A data set, or its one category if `root` itself has the folder train.
Dataset read_folders(const fs::path& root, const std::vector<std::string>& categories,
                     const FolderNames& names) {
  check_folder(root);
  if (!has_train(root, names.good.c_str())) return read_mvtec(root, categories, names);
  std::error_code error;
  const fs::path whole = fs::canonical(root, error);
  const std::string name = chosen_categories({whole.filename().string()}, categories, root.string()).at(0);
  Dataset dataset{.root = root, .categories = {}};
  dataset.categories.push_back(read_mvtec_category(root, name, dataset.notes, names));
  return dataset;
}

Dataset read_as(Layout layout, const fs::path& root, const std::vector<std::string>& categories) {
  switch (layout) {
    case Layout::visa_raw:
      return read_visa_raw(root, categories);
    case Layout::visa:
      return read_folders(is_folder(root / "1cls") ? root / "1cls" : root, categories, {"good", ""});
    case Layout::real_iad:
      return read_real_iad(root, categories);
    case Layout::btad:
      return read_folders(root, categories, {"ok", ""});
    case Layout::csv:
      return read_csv_dataset(root, categories);
    case Layout::folder:
      return read_image_folder(root, categories);
    default:
      return read_folders(root, categories, {});
  }
}

}  // namespace

Layout parse_layout(const std::string& name) {
  for (const KnownLayout& known : known_layouts) {
    if (name == known.flag) return known.layout;
  }
  fail_input("--layout: '{}' is not one of auto, mvtec, visa-raw, visa, real-iad, btad, csv, folder", name);
}

Layout recognise_layout(const fs::path& root) {
  std::error_code error;
  if (fs::is_regular_file(root, error)) {
    check_input(lower(root.extension().string()) == ".csv", "{}: neither a folder nor a .csv file",
                root.string());
    return Layout::csv;
  }
  check_folder(root);
  if (fs::exists(root / "split_csv" / "1cls.csv", error)) return Layout::visa_raw;
  check_input(!any_category(root, [](const fs::path& f) { return is_folder(f / "Data" / "Images"); }),
              "{}: VisA as published, but its split_csv/1cls.csv is missing", root.string());
  if (is_folder(root / "realiad_jsons")) return Layout::real_iad;
  if (is_folder(root / "1cls") || is_rearranged_visa(root) || any_category(root, is_rearranged_visa))
    return Layout::visa;
  if (has_good(root) || any_category(root, has_good)) return Layout::mvtec;
  if (has_ok(root) || any_category(root, has_ok)) return Layout::btad;
  return Layout::folder;
}

Dataset read_dataset(const fs::path& root, const std::vector<std::string>& categories, Layout layout) {
  if (layout == Layout::automatic) layout = recognise_layout(root);
  Dataset dataset = read_as(layout, root, categories);
  dataset.layout = known_layouts.at(static_cast<size_t>(layout)).title;
  return dataset;
}

}  // namespace dinomaly
