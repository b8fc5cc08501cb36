#include "dinomaly/data/layout.h"

#include <algorithm>
#include <array>
#include <functional>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/image_folder.h"
#include "dinomaly/data/listed.h"
#include "dinomaly/data/manta.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/data/pairs.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

struct KnownLayout {
  Layout layout;
  const char* flag;
  const char* title;
};
constexpr std::array known_layouts{KnownLayout{Layout::automatic, "auto", ""},
                                   KnownLayout{Layout::mvtec, "mvtec", "MVTec AD (or MPDD)"},
                                   KnownLayout{Layout::visa_raw, "visa-raw", "VisA as published"},
                                   KnownLayout{Layout::visa, "visa", "VisA rearranged"},
                                   KnownLayout{Layout::real_iad, "real-iad", "Real-IAD"},
                                   KnownLayout{Layout::btad, "btad", "BTAD"},
                                   KnownLayout{Layout::autovi, "autovi", "AutoVI"},
                                   KnownLayout{Layout::manta, "manta", "MANTA"},
                                   KnownLayout{Layout::mvtec_3d, "mvtec-3d", "MVTec 3D-AD"},
                                   KnownLayout{Layout::eyecandies, "eyecandies", "Eyecandies"},
                                   KnownLayout{Layout::mulsen, "mulsen", "MulSen-AD (RGB and infrared)"},
                                   KnownLayout{Layout::csv, "csv", "a CSV list"},
                                   KnownLayout{Layout::folder, "folder", "a plain folder"}};

bool any_category(const fs::path& root, const std::function<bool(const fs::path&)>& fits) {
  const auto names = folders_of(root);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return fits(root / name); });
}

// Normal images to train on or, where nothing is for training, to be judged.
bool has_train(const fs::path& folder, const char* good) {
  const fs::path train = entry_named(folder, "train");
  return is_folder(entry_named(is_folder(train) ? train : entry_named(folder, "test"), good));
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

// AutoVI has folders where MVTec AD has masks. Source: zenodo.org/records/10459003 and anomalib's reader of it.
bool has_folders_of_masks(const fs::path& category) {
  const fs::path masks = entry_named(category, "ground_truth");
  if (!has_train(category, "good") || !is_folder(masks)) return false;
  const auto defects = folders_of(masks);
  return std::any_of(defects.begin(), defects.end(),
                     [&](const std::string& defect) { return !folders_of(masks / defect).empty(); });
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
    case Layout::autovi:
      return read_folders(root, categories, {.masks_in_folders = true});
    case Layout::manta:
      return read_manta(root, categories);
    case Layout::mvtec_3d:
      return read_mvtec_3d(root, categories);
    case Layout::eyecandies:
      return read_eyecandies(root, categories);
    case Layout::mulsen:
      return read_mulsen(root, categories);
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
  fail_input("--layout: '{}' is not auto, {}", name, layout_names());
}

std::string layout_names() {
  std::string names;
  for (size_t i = 1; i < known_layouts.size(); ++i) {
    if (i > 1) names += i + 1 == known_layouts.size() ? " or " : ", ";
    names += known_layouts[i].flag;
  }
  return names;
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
  if (is_real_iad(root)) return Layout::real_iad;
  if (is_folder(root / "1cls") || is_rearranged_visa(root) || any_category(root, is_rearranged_visa))
    return Layout::visa;
  if (is_mulsen(root) || any_category(root, is_mulsen)) return Layout::mulsen;
  if (is_mvtec_3d(root) || any_category(root, is_mvtec_3d)) return Layout::mvtec_3d;
  if (is_eyecandies(root) || any_category(root, is_eyecandies)) return Layout::eyecandies;
  if (is_manta(root)) return Layout::manta;
  if (has_folders_of_masks(root) || any_category(root, has_folders_of_masks)) return Layout::autovi;
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
