#include "dinomaly/data/listed.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/csv.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// A path from a list; `source` says where it was found. With `inside` it may not leave `folder`.
fs::path listed_file(const fs::path& folder, const std::string& name, const std::string& source,
                     bool inside) {
  check_input(!name.empty() && name.size() < 4096 && name.find('\0') == std::string::npos, "{}: no path",
              source);
  const fs::path path(name);
  bool leaves = path.is_absolute();
  for (const fs::path& part : path) leaves |= part == "..";
  check_input(!inside || !leaves, "{}: '{}' leads out of the data set", source, printable(name));
  std::error_code error;
  fs::path result = folder / path;
  const fs::file_status status = fs::status(result, error);
  const std::string why = status.type() == fs::file_type::not_found ? "no such file"
                          : fs::exists(status)                      ? "not a regular file"
                                                                    : error.message();
  check_input(fs::is_regular_file(status), "{}: {}: {}", source, printable(result.string()), why);
  return result;
}

// "good" for a normal label, otherwise the defect's name.
std::string defect_of(const std::string& label) {
  static const std::set<std::string> good{"", "0", "good", "ok", "normal"};
  static const std::set<std::string> unnamed{"1", "bad", "ng", "anomaly", "anomalous", "defect"};
  if (good.contains(lower(label))) return "good";
  return unnamed.contains(lower(label)) ? "bad" : label;
}

bool is_train(const std::string& split, const std::string& source) {
  check_input(lower(split) == "train" || lower(split) == "test", "{}: split '{}' is neither train nor test",
              source, printable(split));
  return lower(split) == "train";
}

ListedSample listed(const std::string& category, const std::string& defect, fs::path image, bool train) {
  ListedSample row;
  row.sample = {.category = category,
                .defect = defect,
                .id = image.stem().string(),
                .image = image,
                .mask = {},
                .anomalous = defect != "good"};
  row.train = train;
  return row;
}

// That of a good image may be given, too, as long as it marks nothing.
void take_mask(ListedSample& row, const fs::path& mask, const std::string& source) {
  if (row.sample.anomalous)
    row.sample.mask = mask;
  else
    check_marks_nothing(mask, row.sample.image, source);
}

std::string row_source(const fs::path& file, const CsvTable& table, size_t row) {
  return fmt::format("{}: row {}", file.string(), table.numbers[row]);
}

// Real-IAD's folder of images; empty if there is none.
fs::path real_iad_images(const fs::path& root) {
  for (const char* name : {"realiad_1024", "realiad_512", "realiad_256", "realiad_raw"}) {
    if (is_folder(root / name)) return root / name;
  }
  return {};
}

std::string text_of(const json& entry, const char* field) {
  const auto found = entry.find(field);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

void read_real_iad_part(const json& document, const char* part, const fs::path& file, const fs::path& images,
                        std::vector<ListedSample>& rows) {
  const std::string category = file.stem().string();
  const auto list = document.find(part);
  check_input(list != document.end() && list->is_array(), "{}: no list '{}'", file.string(), part);
  for (size_t i = 0; i < list->size(); ++i) {
    const json& entry = (*list)[i];
    const std::string source = fmt::format("{}: {}[{}]", file.string(), part, i);
    check_input(entry.is_object(), "{}: not an object", source);
    const std::string label = text_of(entry, "anomaly_class"), image = text_of(entry, "image_path");
    check_input(!label.empty(), "{}: no anomaly_class", source);
    // A defect of the object need not be seen in each of its views: one without a mask is normal.
    const auto mask = entry.find("mask_path");
    const bool normal = label == "OK" || mask == entry.end() || mask->is_null();
    ListedSample row =
        listed(category, normal ? "good" : label, listed_file(images / category, image, source, true),
               std::string(part) == "train");
    row.sample.object = fs::path(image).parent_path().generic_string();
    if (!row.sample.object.empty()) row.sample.grouping = Grouping::views;
    const std::string named = text_of(entry, "mask_path");
    if (row.sample.anomalous || !named.empty())
      take_mask(row, listed_file(images / category, named, source + ": mask_path", true), source);
    rows.push_back(std::move(row));
  }
}

// A misspelt column would be passed over, and all of its images be good.
void check_columns(const CsvTable& table, const fs::path& file) {
  const std::vector<std::string> known{"path", "label", "mask", "category", "split"};
  for (const auto& [name, index] : table.columns) {
    const std::string meant = did_you_mean(name, known);
    check_input(std::find(known.begin(), known.end(), name) != known.end() || meant.empty(),
                "{}: column '{}' is not known{}", file.string(), printable(name), meant);
  }
  check_input(table.has("path"), "{}: no column 'path'", file.string());
}

// One image cannot be both good and bad, nor may it be trained on and judged.
void check_named_once(const std::vector<ListedSample>& rows, const CsvTable& table, const fs::path& file) {
  std::map<fs::path, size_t> first;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::error_code ignored;
    const fs::path& image = rows[i].sample.image;
    const auto [earlier, is_new] = first.emplace(fs::weakly_canonical(image, ignored), i);
    check_input(is_new, "{} names {}, which row {} has named already", row_source(file, table, i),
                printable(image.string()), table.numbers[earlier->second]);
  }
}

// Masks that are missing beside others.
void note_masks(const std::vector<ListedSample>& rows, const fs::path& file, Notes& notes) {
  std::vector<fs::path> without;
  size_t with_mask = 0;
  for (const ListedSample& row : rows) {
    const Sample& sample = row.sample;
    if (sample.anomalous && !sample.mask) without.push_back(sample.image);
    with_mask += sample.anomalous && sample.mask ? 1 : 0;
  }
  if (!without.empty() && with_mask > 0)
    notes.push_back(
        fmt::format("{}: anomalous images without a mask, so that there are no metrics of pixels: {}",
                    file.string(), count_and_names(without)));
}

// A label may be any name of a defect, so one that means something else can only be told.
void note_defect_names(const CsvTable& table, const fs::path& file, Notes& notes) {
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string& label = table.get(i, "label");
    if (const std::string defect = defect_of(label); defect == label && defect != "good" && defect != "bad")
      first.try_emplace(label, i);
  }
  std::vector<std::string> names;
  for (const auto& [label, row] : first)
    names.push_back(fmt::format("'{}' (row {})", printable(label), table.numbers[row]));
  constexpr size_t shown = 5;
  const size_t others = names.size() - std::min(names.size(), shown);
  names.resize(names.size() - others);
  if (!names.empty())
    notes.push_back(fmt::format("{}: column 'label': taken as names of defects: {}{}", file.string(),
                                fmt::join(names, ", "),
                                others > 0 ? fmt::format(" and {} more", others) : ""));
}

}  // namespace

Dataset read_visa_raw(const fs::path& root, const std::vector<std::string>& categories) {
  const fs::path file = root / "split_csv" / "1cls.csv";
  const CsvTable table = read_csv(file);
  for (const char* column : {"object", "split", "label", "image", "mask"}) {
    check_input(table.has(column), "{}: no column '{}'", file.string(), column);
  }
  std::vector<ListedSample> rows;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string source = row_source(file, table, i);
    ListedSample row = listed(table.get(i, "object"), defect_of(table.get(i, "label")),
                              listed_file(root, table.get(i, "image"), source, true),
                              is_train(table.get(i, "split"), source));
    const std::string& mask = table.get(i, "mask");
    if (row.sample.anomalous || !mask.empty())
      take_mask(row, listed_file(root, mask, source + ": mask", true), source);
    rows.push_back(std::move(row));
  }
  return {.root = root, .categories = assemble(std::move(rows), categories, file.string())};
}

bool is_real_iad(const fs::path& root) {
  return is_folder(root / "realiad_jsons") || !real_iad_images(root).empty();
}

Dataset read_real_iad(const fs::path& root, const std::vector<std::string>& categories) {
  fs::path lists = root / "realiad_jsons";
  if (is_folder(lists / "realiad_jsons")) lists /= "realiad_jsons";
  check_folder(lists);
  std::set<std::string> known;
  for (const fs::directory_entry& entry : fs::directory_iterator(lists)) {
    if (entry.path().extension() == ".json") known.insert(entry.path().stem().string());
  }
  const fs::path images = real_iad_images(root);
  check_input(!images.empty(), "{}: no folder realiad_1024", root.string());
  const std::vector<std::string> chosen = chosen_categories(known, categories, lists.string());
  std::vector<ListedSample> rows;
  for (const std::string& category : chosen) {
    const fs::path file = lists / (category + ".json");
    constexpr uint64_t largest = 256'000'000;
    const json document = json::parse(read_file(file, largest), nullptr, false);
    check_input(document.is_object(), "{}: not a JSON object", file.string());
    for (const char* part : {"train", "test"}) read_real_iad_part(document, part, file, images, rows);
  }
  return {.root = root, .categories = assemble(std::move(rows), chosen, lists.string())};
}

Dataset read_csv_dataset(const fs::path& file, const std::vector<std::string>& categories) {
  const CsvTable table = read_csv(file);
  check_columns(table, file);
  const fs::path folder = file.parent_path();
  const bool splits = table.has("split");
  std::vector<ListedSample> rows;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string source = row_source(file, table, i);
    const std::string defect = defect_of(table.get(i, "label"));
    std::string category = table.get(i, "category");
    if (category.empty()) category = file.stem().string();
    for (const auto& [name, what] : {std::pair{category, "category"}, {defect, "defect"}})
      check_plain_name(name, what, source + ": ");
    ListedSample row = listed(category, defect, listed_file(folder, table.get(i, "path"), source, false),
                              splits ? is_train(table.get(i, "split"), source) : defect == "good");
    const std::string& mask = table.get(i, "mask");
    if (!mask.empty()) take_mask(row, listed_file(folder, mask, source + ": mask", false), source);
    rows.push_back(std::move(row));
  }
  check_named_once(rows, table, file);
  Notes notes;
  note_masks(rows, file, notes);
  Dataset dataset{.root = file, .categories = assemble(std::move(rows), categories, file.string())};
  dataset.notes = std::move(notes);
  note_defect_names(table, file, dataset.notes);
  if (splits) return dataset;
  for (Category& category : dataset.categories) {
    const int64_t held = hold_out_good(category);
    if (held > 0) {
      dataset.notes.push_back(
          fmt::format("{}: no column 'split': {} held out for testing", category.name,
                      counted(held, "good image (every fifth) is", "good images (every fifth) are")));
    }
  }
  return dataset;
}

}  // namespace dinomaly
