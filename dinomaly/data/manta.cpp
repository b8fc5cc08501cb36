#include "dinomaly/data/manta.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr int64_t views_of_picture = 5, view_columns = 256;

bool is_manta_category(const fs::path& folder) {
  return is_folder(entry_named(entry_named(folder, "train"), "good"));
}

// The categories of the root, of its domains, or the root itself, by name.
std::map<std::string, fs::path> manta_categories(const fs::path& root) {
  check_folder(root);
  std::map<std::string, fs::path> found;
  const auto add = [&](const fs::path& folder) {
    if (!is_manta_category(folder)) return false;
    const auto [known, added] = found.emplace(folder.filename().string(), folder);
    check_input(added, "{} and {} are categories of one name", known->second.string(), folder.string());
    return true;
  };
  std::error_code error;
  if (add(fs::canonical(root, error))) return found;
  for (const std::string& outer : folders_of(root)) {
    if (add(root / outer)) continue;
    for (const std::string& inner : folders_of(root / outer)) add(root / outer / inner);
  }
  return found;
}

std::string mask_suffix_in(const fs::path& category, Notes& notes) {
  const fs::path masks = entry_named(category, "ground_truth");
  if (!is_folder(masks)) return "";
  for (const std::string& defect : folders_of(masks)) {
    const auto images = images_of(masks / defect, notes);
    if (!images.empty()) return images.begin()->first.ends_with("_mask") ? "_mask" : "";
  }
  return "";
}

// Which views of an anomalous picture its mask marks.
std::vector<bool> marked_views(const Sample& picture) {
  std::vector<bool> marked;
  const PixelLayout layout = open_pixels(picture.image)->layout();
  for (int64_t view = 0; view < views_of_picture; ++view) {
    const int64_t first = view * view_columns;
    const bool last = view + 1 == views_of_picture;
    Sample one = picture;
    one.strip = Strip{first, last ? 0 : view_columns};
    const Image mask = load_sample_mask_image(one, last ? layout.width - first : view_columns, layout.height);
    marked.push_back(std::any_of(mask.pixels.begin(), mask.pixels.end(), [](uint8_t p) { return p > 0; }));
  }
  return marked;
}

void add_views(const Sample& picture, const std::vector<bool>& marked, std::vector<Sample>& views) {
  for (int64_t view = 0; view < views_of_picture; ++view) {
    Sample& one = views.emplace_back(picture);
    one.object = fmt::format("{}/{}", picture.defect, picture.id);
    one.grouping = Grouping::strips;
    one.strip = Strip{view * view_columns, view + 1 == views_of_picture ? 0 : view_columns};
    one.anomalous = picture.anomalous && (marked.empty() || marked[static_cast<size_t>(view)]);
    one.id = fmt::format("{}_view{}", picture.id, view + 1);
    if (picture.anomalous && !one.anomalous) {  // beside the views of good objects, which may be called alike
      one.id = fmt::format("{}_{}", picture.defect, one.id);
      one.defect = "good", one.mask.reset();
    }
  }
}

std::vector<Sample> split_into_views(const std::vector<Sample>& pictures) {
  std::vector<std::vector<bool>> marked(pictures.size());
  for_each_in_parallel(pictures.size(), [&](size_t i) {
    if (pictures[i].mask) marked[i] = marked_views(pictures[i]);
  });
  std::vector<Sample> views;
  for (size_t i = 0; i < pictures.size(); ++i) add_views(pictures[i], marked[i], views);
  std::sort(views.begin(), views.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.defect, a.id) < std::tie(b.defect, b.id);
  });
  return views;
}

}  // namespace

bool shows_views(const fs::path& picture) {
  try {
    return shows_views(open_pixels(picture, strip_limits, Samples::all)->layout());
  } catch (const InputError&) {  // whoever reads it reports it
    return false;
  }
}

bool shows_views(const PixelLayout& layout) {
  return layout.width > (views_of_picture - 1) * view_columns && layout.width > 4 * layout.height;
}

bool is_manta(const fs::path& root) {
  try {
    for (const auto& [name, folder] : manta_categories(root)) {
      Notes ignored;
      const auto images = images_of(entry_named(entry_named(folder, "train"), "good"), ignored);
      if (images.empty()) return false;
      const PixelLayout layout = open_pixels(images.begin()->second)->layout();
      return layout.width == views_of_picture * view_columns && layout.height == view_columns;
    }
  } catch (const InputError&) {  // whoever reads it reports it
  }
  return false;
}

Dataset read_manta(const fs::path& root, const std::vector<std::string>& categories) {
  const std::map<std::string, fs::path> folders = manta_categories(root);
  check_input(!folders.empty(), "{}: no category (a folder with train/good) in it", root.string());
  std::set<std::string> known;
  for (const auto& [name, folder] : folders) known.insert(name);
  Dataset dataset{.root = root, .categories = {}};
  dataset.notes.push_back(fmt::format(
      "{}: each picture is five views of 256 columns; --layout mvtec takes it as one image", root.string()));
  for (const std::string& name : chosen_categories(known, categories, root.string())) {
    const fs::path& folder = folders.at(name);
    FolderNames names;
    Notes seen_again;
    names.mask_suffix = mask_suffix_in(folder, seen_again);
    Category category = read_mvtec_category(folder, name, dataset.notes, names);
    category.train = split_into_views(category.train);
    category.test = split_into_views(category.test);
    dataset.categories.push_back(std::move(category));
  }
  return dataset;
}

Picture refused_views(const std::filesystem::path& path) {
  Picture picture(path);
  picture.fault = fmt::format(
      "{}: a picture of several views, which the model judges one by one: cut it into them (eval does, of a "
      "data set)",
      path.string());
  return picture;
}

}  // namespace dinomaly
