#include "dinomaly/data/pairs.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/csv.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/point_cloud.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

using Files = std::map<std::string, fs::path>;  // by name without extension
using CategoryReader = std::function<Category(const fs::path&, const std::string&, Notes&)>;

// The categories of a root, or the one that the root itself is.
Dataset read_categories(const fs::path& root, const std::vector<std::string>& asked,
                        const std::function<bool(const fs::path&)>& is_category, const CategoryReader& read) {
  check_folder(root);
  Dataset dataset{.root = root, .categories = {}};
  std::map<std::string, fs::path> folders;
  std::error_code error;
  if (is_category(root)) folders[fs::canonical(root, error).filename().string()] = root;
  if (folders.empty()) {
    for (const std::string& name : folders_of(root)) {
      if (is_category(root / name)) folders[name] = root / name;
    }
  }
  check_input(!folders.empty(), "{}: no category of this layout in it", root.string());
  std::set<std::string> known;
  for (const auto& [name, folder] : folders) known.insert(name);
  for (const std::string& name : chosen_categories(known, asked, root.string())) {
    Category category = read(folders.at(name), name, dataset.notes);
    check_input(!category.train.empty(), "{}: no training images in it", folders.at(name).string());
    std::sort(category.test.begin(), category.test.end(), [](const Sample& a, const Sample& b) {
      return std::tie(a.defect, a.id) < std::tie(b.defect, b.id);
    });
    dataset.categories.push_back(std::move(category));
  }
  return dataset;
}

const fs::path& partner_of(const fs::path& image, const std::string& id, const Files& partners,
                           const fs::path& folder) {
  const auto found = partners.find(id);
  check_input(found != partners.end(), "{}: its partner {} is missing", image.string(),
              (folder / id).string());
  return found->second;
}

// Folders that hold other parts of a data set.
void note_parts(const fs::path& category, const std::vector<std::string>& names, Notes& notes) {
  for (const std::string& name : names) {
    if (is_folder(category / name)) notes.push_back(fmt::format("{}: not used", (category / name).string()));
  }
}

fs::path depth_folder_3d(const fs::path& folder) {
  return is_folder(folder / "z") ? folder / "z" : folder / "xyz";
}

// train/good or test/DEFECT of MVTec 3D-AD.
void read_3d_folder(const fs::path& folder, const std::string& category, const std::string& defect,
                    std::vector<Sample>& samples, Notes& notes) {
  const fs::path rgb = folder / "rgb";
  const fs::path depth = depth_folder_3d(folder);
  const bool good = defect == "good";
  const Files images = images_of(rgb, notes);
  Files depths = images_of(depth, notes), masks;
  if (!good || is_folder(folder / "gt")) masks = masks_of(folder / "gt", notes);
  for (const auto& [id, image] : images) {
    Sample sample{.category = category, .defect = defect, .id = id, .image = image};
    sample.depth = partner_of(image, id, depths, depth);
    depths.erase(id);
    sample.anomalous = !good;
    const auto mask = masks.find(id);
    if (good) {
      if (mask != masks.end()) check_marks_nothing(mask->second, image);
    } else {
      check_input(mask != masks.end(), "{}: its mask {} is missing", image.string(),
                  (folder / "gt" / (id + ".png")).string());
      sample.mask = mask->second;
    }
    masks.erase(id);
    samples.push_back(std::move(sample));
  }
  note_without_images(depth, "depth files", depths, notes);
  note_without_images(folder / "gt", "masks", masks, notes);
}

Category read_3d_category(const fs::path& folder, const std::string& name, Notes& notes) {
  Category category{.name = name, .train = {}, .test = {}};
  read_3d_folder(folder / "train" / "good", name, "good", category.train, notes);
  note_parts(folder, {"validation"}, notes);
  if (!is_folder(folder / "test")) return category;
  for (const std::string& defect : folders_of(folder / "test"))
    read_3d_folder(folder / "test" / defect, name, defect, category.test, notes);
  return category;
}

const std::string photograph = "_image_4";

// train/data or test_public/data of Eyecandies. Beside the images are other renderings of the same objects.
std::vector<Sample> read_candies(const fs::path& folder, const std::string& category, bool labelled,
                                 Notes& notes) {
  Notes other_renderings, again;
  const Files files = images_of(folder, other_renderings);
  const Files masks = labelled ? masks_of(folder, again) : Files{};
  Files without_image;
  std::vector<Sample> samples;
  for (const auto& [name, image] : files) {
    if (name.ends_with("_depth") && !files.contains(name.substr(0, name.size() - 6) + photograph))
      without_image.emplace(name, image);
    if (!name.ends_with(photograph)) continue;
    const std::string id = name.substr(0, name.size() - photograph.size());
    Sample sample{.category = category, .defect = "good", .id = id, .image = image};
    sample.depth = partner_of(image, id + "_depth", files, folder);
    if (labelled) {
      const fs::path& mask = partner_of(image, id + "_mask", masks, folder);
      sample.anomalous = marks_anything(mask);
      if (sample.anomalous) sample.mask = mask, sample.defect = "bad";
    }
    samples.push_back(std::move(sample));
  }
  note_without_images(folder, "depth files", without_image, notes);
  return samples;
}

Category read_candy_category(const fs::path& folder, const std::string& name, Notes& notes) {
  Category category{.name = name, .train = {}, .test = {}};
  category.train = read_candies(folder / "train" / "data", name, false, notes);
  note_parts(folder, {"val", "test_private"}, notes);
  const fs::path test = folder / "test_public" / "data";
  if (is_folder(test)) category.test = read_candies(test, name, true, notes);
  return category;
}

// Files that are called by numbers, in their order.
std::vector<std::string> in_number_order(const Files& files) {
  std::vector<std::string> ids;
  for (const auto& [id, file] : files) ids.push_back(id);
  std::sort(ids.begin(), ids.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  });
  return ids;
}

// The row of each object: that which begins with its id or, where rows begin with anything else, the next one.
std::vector<size_t> rows_of(const CsvTable& table, const std::vector<std::string>& ids) {
  std::map<std::string, size_t> named;
  std::vector<size_t> by_name, in_order;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    if (!table.rows[row].empty()) named.emplace(table.rows[row].front(), row);
  }
  for (const std::string& id : ids) {
    in_order.push_back(in_order.size());
    if (const auto row = named.find(id); row != named.end()) by_name.push_back(row->second);
  }
  return by_name.size() == ids.size() ? by_name : in_order;
}

// For each object whether its RGB and its infrared image is anomalous; empty without the file.
std::vector<std::array<bool, 2>> read_labels(const fs::path& file, const std::vector<std::string>& ids) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const CsvTable table = read_csv(file);
  check_input(table.rows.size() == ids.size(), "{}: {} for {}", file.string(),
              counted(static_cast<int64_t>(table.rows.size()), "line"),
              counted(static_cast<int64_t>(ids.size()), "object"));
  std::vector<std::array<bool, 2>> labels;
  for (const size_t row : rows_of(table, ids)) {
    for (size_t sensor = 0; sensor < 2; ++sensor) {
      const std::string field = table.rows[row].size() > sensor + 1 ? table.rows[row][sensor + 1] : "";
      check_input(field == "0" || field == "1", "{}: row {}: the label of a sensor is neither 0 nor 1",
                  file.string(), table.numbers[row]);
      if (sensor == 0) labels.emplace_back();
      labels.back()[sensor] = field == "1";
    }
  }
  return labels;
}

// test/DEFECT of both sensors, or train as a defect that is good.
void read_mulsen_folder(const fs::path& category, const fs::path& part, const std::string& defect,
                        std::vector<Sample>& samples, Notes& notes) {
  const std::array<const char*, 2> sensors{"RGB", "Infrared"};
  std::array<Files, 2> images, masks;
  const bool good = defect == "good";
  for (size_t s = 0; s < 2; ++s) {
    images[s] = images_of(category / sensors[s] / part, notes);
    const fs::path folder = category / sensors[s] / "GT" / defect;
    Notes tables;  // data.csv is one
    if (part != "train" && is_folder(folder)) masks[s] = masks_of(folder, tables);
  }
  for (const auto& [id, image] : images[1]) partner_of(image, id, images[0], category / sensors[0] / part);
  const std::vector<std::string> ids = in_number_order(images[0]);
  std::vector<std::array<bool, 2>> labels;
  if (!good) labels = read_labels(category / "RGB" / "GT" / defect / "data.csv", ids);
  for (size_t i = 0; i < ids.size(); ++i) {
    partner_of(images[0].at(ids[i]), ids[i], images[1], category / sensors[1] / part);
    for (size_t s = 0; s < 2; ++s) {
      Sample sample{.category = category.filename().string(), .defect = defect, .id = ids[i]};
      sample.image = images[s].at(ids[i]);
      sample.object = fmt::format("{}/{}", defect, ids[i]);
      sample.grouping = Grouping::rgb_and_infrared;
      sample.infrared = s == 1;
      const auto mask = masks[s].find(ids[i]);
      const bool masked = mask != masks[s].end();
      sample.anomalous = !good && (labels.empty() ? masked : labels[i][s]);
      if (!sample.anomalous && masked) check_marks_nothing(mask->second, sample.image);
      check_input(!sample.anomalous || masked, "{}: its mask {} is missing", sample.image.string(),
                  (category / sensors[s] / "GT" / defect / (ids[i] + ".png")).string());
      if (sample.anomalous) sample.mask = mask->second;
      masks[s].erase(ids[i]);
      if (!good && !sample.anomalous) sample.defect = "good", sample.id = defect + "_" + ids[i];
      if (sample.infrared) sample.id += "_infrared";
      samples.push_back(std::move(sample));
    }
  }
  for (size_t s = 0; s < 2; ++s)
    note_without_images(category / sensors[s] / "GT" / defect, "masks", masks[s], notes);
}

Category read_mulsen_category(const fs::path& folder, const std::string& name, Notes& notes) {
  Category category{.name = name, .train = {}, .test = {}};
  read_mulsen_folder(folder, "train", "good", category.train, notes);
  note_parts(folder, {"Pointcloud"}, notes);
  std::set<std::string> defects;
  for (const char* sensor : {"RGB", "Infrared"}) {
    if (is_folder(folder / sensor / "test")) defects.merge(folders_of(folder / sensor / "test"));
  }
  for (const std::string& defect : defects)
    read_mulsen_folder(folder, fs::path("test") / defect, defect, category.test, notes);
  for (std::vector<Sample>* part : {&category.train, &category.test}) {
    for (Sample& sample : *part) sample.category = name;
  }
  return category;
}

}  // namespace

bool is_mvtec_3d(const fs::path& category) { return is_folder(category / "train" / "good" / "rgb"); }
bool is_mulsen(const fs::path& category) {
  return is_folder(category / "RGB" / "train") && is_folder(category / "Infrared" / "train");
}
bool is_eyecandies(const fs::path& category) {
  const fs::path data = category / "train" / "data";
  if (!is_folder(data)) return false;
  const std::vector<fs::path> images = list_folder(data).images;
  return std::any_of(images.begin(), images.end(),
                     [](const fs::path& image) { return image.stem().string().ends_with(photograph); });
}

PairMember pair_member(const fs::path& image) {
  const fs::path path = image.lexically_normal();
  const std::string suffix = "_infrared", stem = path.stem().string();
  if (lower(stem).ends_with(suffix) && stem.size() > suffix.size())
    return {path.parent_path() / stem.substr(0, stem.size() - suffix.size()), true};
  std::vector<fs::path> parts(path.begin(), path.end());
  parts.back() = path.stem();
  const auto sensor = std::find_if(parts.rbegin(), parts.rend(), [](const fs::path& part) {
    const std::string name = lower(part.string());
    return name == "infrared" || name == "rgb";
  });
  const bool infrared = sensor != parts.rend() && lower(sensor->string()) == "infrared";
  if (sensor != parts.rend()) *sensor = "RGB";
  fs::path object;
  for (const fs::path& part : parts) object /= part;
  return {object, infrared};
}

void note_depth_kinds(Dataset& dataset) {
  std::vector<fs::path> clouds, maps;
  for (const Category& category : dataset.categories) {
    for (const std::vector<Sample>* part : {&category.train, &category.test}) {
      for (const Sample& sample : *part) {
        if (sample.depth) (is_point_cloud(*sample.depth) ? clouds : maps).push_back(*sample.depth);
      }
    }
  }
  if (clouds.empty()) return;
  dataset.notes.push_back("point clouds are prepared as they are read: of each only the object is left");
  if (maps.empty()) return;
  const bool few_maps = maps.size() <= clouds.size();
  const std::vector<fs::path>& few = few_maps ? maps : clouds;
  dataset.notes.push_back(
      fmt::format("{} of {} depth files {}, unlike the others; a depth map is taken as it is, with its "
                  "background; the first: {}",
                  few.size(), clouds.size() + maps.size(),
                  few.size() == 1 ? (few_maps ? "is a depth map" : "is a point cloud")
                                  : (few_maps ? "are depth maps" : "are point clouds"),
                  few.front().string()));
}

Dataset read_mvtec_3d(const fs::path& root, const std::vector<std::string>& categories) {
  Dataset dataset = read_categories(root, categories, is_mvtec_3d, read_3d_category);
  note_depth_kinds(dataset);
  return dataset;
}
Dataset read_eyecandies(const fs::path& root, const std::vector<std::string>& categories) {
  Dataset dataset = read_categories(root, categories, is_eyecandies, read_candy_category);
  note_depth_kinds(dataset);
  return dataset;
}
Dataset read_mulsen(const fs::path& root, const std::vector<std::string>& categories) {
  return read_categories(root, categories, is_mulsen, read_mulsen_category);
}

}  // namespace dinomaly
