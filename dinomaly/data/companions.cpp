#include "dinomaly/data/companions.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/move_file.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// Of a companion: a folder beside the image's, or "" for the same, and what follows the ID.
struct CompanionPlace {
  CompanionKind kind;
  std::string folder, suffix;
};

const std::string candy_photograph = "_image_4";
constexpr std::array depth_endings{".tiff", ".tif", ".png"};
constexpr std::array picture_endings{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".npy",
                                     ".ppm", ".pgm", ".pnm",  ".pbm", ".jpe",  ".jfif", ".dib", ""};
constexpr std::array other_endings{".exr", ".pfm", ".mat", ".ply", ".pcd", ".yaml", ".json"};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::string capitals(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

// FOLDER/STEM with the first of the endings that exists.
template <size_t N>
std::optional<fs::path> with_ending(const fs::path& folder, const std::string& stem,
                                    const std::array<const char*, N>& endings) {
  for (const char* ending : endings) {
    for (const std::string& name : {stem + ending, stem + capitals(ending)}) {
      if (is_file(folder / name)) return folder / name;
    }
  }
  return std::nullopt;
}

fs::path beside_folder(const fs::path& folder, const std::string& name) {
  return entry_named(folder.parent_path(), name);
}

// An image's name: the ID, and what its companions do not share.
struct ImageName {
  std::string id, photograph;
};
ImageName parted(const fs::path& image) {
  std::string id = image.stem().string();
  if (!id.ends_with(candy_photograph) || id == candy_photograph) return {id, ""};
  return {id.substr(0, id.size() - candy_photograph.size()), candy_photograph};
}

// In which order depth is looked for; longer suffixes before those they end in.
const std::vector<CompanionPlace> in_folders{
    {CompanionKind::depth, "z", ""}, {CompanionKind::depth, "xyz", ""}, {CompanionKind::mask, "gt", ""}};
const std::vector<CompanionPlace> depth_place{{CompanionKind::depth, "", "_depth"}};
const std::vector<CompanionPlace> of_candies{
    {CompanionKind::mask, "", "_bumps_mask"},     {CompanionKind::mask, "", "_colors_mask"},
    {CompanionKind::mask, "", "_dents_mask"},     {CompanionKind::mask, "", "_normals_mask"},
    {CompanionKind::mask, "", "_mask"},           {CompanionKind::rendering, "", "_image_0"},
    {CompanionKind::rendering, "", "_image_1"},   {CompanionKind::rendering, "", "_image_2"},
    {CompanionKind::rendering, "", "_image_3"},   {CompanionKind::rendering, "", "_image_5"},
    {CompanionKind::rendering, "", "_normals"},   {CompanionKind::rendering, "", "_metadata"},
    {CompanionKind::rendering, "", "_info_depth"}};

std::vector<CompanionPlace> places_of(const fs::path& image) {
  std::vector<CompanionPlace> places;
  const auto add = [&](const std::vector<CompanionPlace>& more) {
    places.insert(places.end(), more.begin(), more.end());
  };
  if (lower(image.parent_path().filename().string()) == "rgb") add(in_folders);
  add(depth_place);
  if (!parted(image).photograph.empty()) add(of_candies);
  return places;
}

fs::path folder_of(const CompanionPlace& place, const fs::path& image) {
  return place.folder.empty() ? image.parent_path() : beside_folder(image.parent_path(), place.folder);
}

struct FoundCompanion {
  CompanionPlace place;
  fs::path file;
};
std::vector<FoundCompanion> found_beside(const fs::path& image) {
  std::vector<FoundCompanion> found;
  const std::string id = parted(image).id;
  for (const CompanionPlace& place : places_of(image)) {
    const fs::path folder = folder_of(place, image);
    const auto add = [&](const auto& endings) {
      for (const char* ending : endings) {
        if (const auto file = with_ending(folder, id + place.suffix, std::array{ending}))
          found.push_back({place, *file});
      }
    };
    add(picture_endings), add(other_endings);
  }
  return found;
}

// In a folder z, xyz or gt beside one called rgb.
std::optional<Companion> in_companion_folder(const fs::path& file) {
  const fs::path folder = file.parent_path();
  for (const CompanionPlace& place : in_folders) {
    if (lower(folder.filename().string()) != place.folder) continue;
    const fs::path rgb = beside_folder(folder, "rgb");
    if (!is_folder(rgb)) return std::nullopt;
    const std::string id = file.stem().string();
    const auto image = with_ending(rgb, id, picture_endings);
    return Companion{place.kind, image.value_or(rgb / id), image.has_value()};
  }
  return std::nullopt;
}

bool is_mask_beside_image(const fs::path& file) {
  constexpr std::string_view suffix = "_mask";
  const std::string stem = file.stem().string();
  if (!stem.ends_with(suffix) || stem.size() == suffix.size()) return false;
  const std::string id = stem.substr(0, stem.size() - suffix.size());
  return with_ending(file.parent_path(), id, picture_endings).has_value();
}

bool is_mask_of_photograph(const fs::path& file) {
  constexpr std::array photographs{".jpg", ".jpeg"};
  if (lower(file.extension().string()) != ".png") return false;
  const auto photograph = with_ending(file.parent_path(), file.stem().string(), photographs);
  try {
    return photograph && open_pixels(file)->layout().channels == 1 &&
           open_pixels(*photograph)->layout().channels == 3;
  } catch (const InputError&) {  // whoever reads it reports it
    return false;
  }
}

bool lies_among_masks(const fs::path& file) {
  constexpr int most_levels = 3;  // ground_truth/DEFECT/ID/MASK in AutoVI
  std::error_code error;
  fs::path below = fs::absolute(file, error).lexically_normal();
  for (int level = 0; level < most_levels; ++level) {
    const fs::path folder = below.parent_path(), root = folder.parent_path();
    const std::string name = lower(folder.filename().string());
    if (name == "ground_truth" &&
        (is_folder(entry_named(root, "train")) || is_folder(entry_named(root, "test"))))
      return true;
    const bool of_masks = name == "ground_truth" || name == "masks";
    if (of_masks && level > 0 && is_folder(root / below.filename())) return true;
    below = folder;
  }
  return false;
}

// The files that would be under that name, and whether none of them exists.
bool is_free(const std::vector<std::pair<fs::path, fs::path>>& moves) {
  return std::none_of(moves.begin(), moves.end(), [](const auto& move) {
    std::error_code error;
    return fs::exists(fs::symlink_status(move.second, error));
  });
}

}  // namespace

std::optional<fs::path> depth_of(const fs::path& image) {
  for (const CompanionPlace& place : places_of(image)) {
    if (place.kind != CompanionKind::depth) continue;
    if (auto file = with_ending(folder_of(place, image), parted(image).id + place.suffix, depth_endings))
      return file;
  }
  return std::nullopt;
}

std::string missing_depth(const fs::path& image) {
  const std::string id = parted(image).id, endings = ".tiff, .tif or .png";
  std::string text = fmt::format("{}: its depth is missing: there is no ", image.string());
  if (lower(image.parent_path().filename().string()) == "rgb")
    text += fmt::format("{0}{1} in z or xyz beside {2}, nor ", id, endings,
                        image.parent_path().filename().string());
  text += fmt::format("{}_depth{} beside it", id, endings);
  for (const FoundCompanion& found : found_beside(image)) {
    if (found.place.kind == CompanionKind::depth)
      return text + fmt::format(" ({} is not read as depth)", found.file.filename().string());
  }
  return text;
}

Picture picture_with_depth(const fs::path& image) {
  Picture picture(image);
  picture.depth = depth_of(image);
  if (!picture.depth && is_file(image)) picture.fault = missing_depth(image);
  return picture;
}

bool is_mask_by_place(const fs::path& file) {
  return is_mask_beside_image(file) || is_mask_of_photograph(file) || lies_among_masks(file);
}

std::optional<Companion> companion_by_name(const fs::path& file) {
  if (auto found = in_companion_folder(file)) return found;
  const fs::path folder = file.parent_path();
  const std::string stem = file.stem().string();
  for (const std::vector<CompanionPlace>* places : {&of_candies, &depth_place}) {
    for (const CompanionPlace& place : *places) {
      if (!stem.ends_with(place.suffix) || stem.size() == place.suffix.size()) continue;
      const std::string id = stem.substr(0, stem.size() - place.suffix.size());
      auto image = with_ending(folder, id + candy_photograph, picture_endings);
      const bool is_depth = place.kind == CompanionKind::depth;
      if (!image && is_depth) image = with_ending(folder, id, picture_endings);
      if (image) return Companion{place.kind, *image, true};
      if (is_depth && !depth_of(file)) return Companion{place.kind, folder / id, false};
    }
  }
  return std::nullopt;
}

std::vector<fs::path> companions_of(const fs::path& image) {
  std::vector<fs::path> files;
  for (const FoundCompanion& found : found_beside(image)) files.push_back(found.file);
  return files;
}

void move_with_companions(const fs::path& image, const fs::path& to) {
  const std::vector<FoundCompanion> companions = found_beside(image);
  fs::path folder = to.parent_path();
  const fs::path own = image.parent_path().filename();
  const bool in_folder = std::any_of(companions.begin(), companions.end(),
                                     [](const FoundCompanion& found) { return !found.place.folder.empty(); });
  if (in_folder && folder.filename() != own) folder /= own;
  const ImageName name = parted(image);
  std::vector<std::pair<fs::path, fs::path>> moves;
  for (int n = 1; moves.empty() || !is_free(moves); ++n) {
    const std::string id = n == 1 ? name.id : fmt::format("{}-{}", name.id, n);
    moves = {{image, folder / (id + name.photograph + image.extension().string())}};
    for (const FoundCompanion& found : companions) {
      const fs::path place =
          found.place.folder.empty() ? folder : folder.parent_path() / found.file.parent_path().filename();
      moves.emplace_back(found.file, place / (id + found.place.suffix + found.file.extension().string()));
    }
  }
  std::vector<std::pair<fs::path, fs::path>> done;
  try {
    for (auto move = moves.rbegin(); move != moves.rend(); ++move)  // the image last
      done.emplace_back(move->first, move_file(move->first, move->second));
  } catch (const InputError&) {
    for (const auto& [from, now] : done) move_file(now, from);
    throw;
  }
}

}  // namespace dinomaly
