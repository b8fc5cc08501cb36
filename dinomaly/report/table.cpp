#include "dinomaly/report/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace dinomaly {

using nlohmann::json;

namespace {

struct PaperColumn {
  const char* key;
  const char* heading;
  double (*value)(const AllMetrics&);
};
constexpr std::array image_columns{
    PaperColumn{"image_auroc", "I-AUROC", [](const AllMetrics& m) { return m.image_auroc; }},
    PaperColumn{"image_ap", "I-AP", [](const AllMetrics& m) { return m.image_ap; }},
    PaperColumn{"image_f1max", "I-F1max", [](const AllMetrics& m) { return m.image_f1max; }},
    PaperColumn{"pixel_auroc", "P-AUROC", [](const AllMetrics& m) { return m.pixel_auroc; }},
    PaperColumn{"pixel_ap", "P-AP", [](const AllMetrics& m) { return m.pixel_ap; }},
    PaperColumn{"pixel_f1max", "P-F1max", [](const AllMetrics& m) { return m.pixel_f1max; }},
    PaperColumn{"aupro", "AUPRO", [](const AllMetrics& m) { return m.aupro; }}};
// Only where there are objects of several images.
constexpr std::array object_columns{
    PaperColumn{"object_auroc", "O-AUROC", [](const AllMetrics& m) { return m.objects.auroc; }},
    PaperColumn{"object_ap", "O-AP", [](const AllMetrics& m) { return m.objects.ap; }},
    PaperColumn{"object_f1max", "O-F1max", [](const AllMetrics& m) { return m.objects.f1max; }}};
// Only where there are pairs of an RGB and an infrared image.
constexpr std::array infrared_columns{
    PaperColumn{"infrared_pixel_auroc", "IR-P-AUROC",
                [](const AllMetrics& m) { return m.infrared.pixel_auroc; }},
    PaperColumn{"infrared_pixel_ap", "IR-P-AP", [](const AllMetrics& m) { return m.infrared.pixel_ap; }},
    PaperColumn{"infrared_pixel_f1max", "IR-P-F1max",
                [](const AllMetrics& m) { return m.infrared.pixel_f1max; }},
    PaperColumn{"infrared_aupro", "IR-AUPRO", [](const AllMetrics& m) { return m.infrared.aupro; }}};

template <class Visit>
void for_each_column(Visit visit) {
  for (const PaperColumn& column : image_columns) visit(column);
  for (const PaperColumn& column : object_columns) visit(column);
  for (const PaperColumn& column : infrared_columns) visit(column);
}

// The columns from `begin` to `end` of the table.
std::string block_text(const MetricsTable& table, size_t begin, size_t end) {
  size_t width = 14;
  for (const MetricsTable::Row& row : table.rows) width = std::max(width, row.name.size());
  std::string text = fmt::format("{:<{}}", "protocol " + table.protocol, width + 2);
  for (size_t i = begin; i < end; ++i) text += fmt::format("{:>11}", table.columns[i].heading);
  text += "\n";
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    text += fmt::format("{:<{}}", name, width + 2);
    for (size_t i = begin; i < end; ++i) {
      const bool known = std::isfinite(values[i]);
      text += known ? fmt::format("{:>11.4f}", values[i]) : fmt::format("{:>11}", "-");
    }
    text += "\n";
  };
  for (const MetricsTable::Row& row : table.rows) add(row.name, row.values);
  add("mean", table.mean());
  return text;
}

json row_json(const MetricsTable& table, const std::vector<double>& values) {
  json result = json::object();
  for (size_t i = 0; i < values.size(); ++i) {
    result[table.columns[i].key] = std::isfinite(values[i]) ? json(rounded_metric(values[i])) : json(nullptr);
  }
  return result;
}

}  // namespace

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + '"';
}

double rounded_metric(double value) { return std::round(value * 1e6) / 1e6; }

std::vector<double> MetricsTable::mean() const {
  std::vector<double> result(columns.size(), 0.0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < result.size(); ++i) result[i] += row.values[i] / static_cast<double>(rows.size());
  }
  return result;
}

MetricsTable paper_table(const std::vector<CategoryResult>& results) {
  MetricsTable table{"paper", {}, {}};
  const auto add = [&](const auto& columns) {
    for (const PaperColumn& column : columns) table.columns.push_back({column.key, column.heading});
  };
  const auto any = [&](auto has) { return std::any_of(results.begin(), results.end(), has); };
  add(image_columns);
  if (any([](const CategoryResult& result) { return !result.objects.empty(); })) add(object_columns);
  if (any([](const CategoryResult& result) { return result.infrared.has_value(); })) add(infrared_columns);
  for (const CategoryResult& result : results)
    table.rows.push_back({result.category, paper_values(table, all_metrics(result))});
  return table;
}

std::vector<double> paper_values(const MetricsTable& table, const AllMetrics& metrics) {
  std::vector<double> values;
  for (const MetricsTable::Column& wanted : table.columns) {
    for_each_column([&](const PaperColumn& column) {
      if (wanted.key == column.key) values.push_back(column.value(metrics));
    });
  }
  return values;
}

MetricsTable official_table() {
  return {"official", {{"aupro", "AU-PRO0.3"}, {"image_auroc", "I-AUROC"}}, {}};
}

void add_row(MetricsTable& table, const std::string& category, const OfficialMetrics& metrics) {
  table.rows.push_back({category, {metrics.aupro, metrics.image_auroc}});
}

std::string to_text(const MetricsTable& table) {
  constexpr size_t in_block = 10;  // more do not fit on a line
  std::string text;
  for (size_t begin = 0; begin < table.columns.size(); begin += in_block)
    text += block_text(table, begin, std::min(begin + in_block, table.columns.size()));
  return text;
}

json to_json(const MetricsTable& table) {
  json categories = json::object();
  for (const MetricsTable::Row& row : table.rows) categories[row.name] = row_json(table, row.values);
  return {{"protocol", table.protocol}, {"categories", categories}, {"mean", row_json(table, table.mean())}};
}

std::string to_csv(const MetricsTable& table) {
  std::string text = "category";
  for (const MetricsTable::Column& column : table.columns) text += "," + column.key;
  text += "\n";
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    text += csv_field(name);
    for (double value : values)
      text += std::isfinite(value) ? fmt::format(",{}", rounded_metric(value)) : ",";
    text += "\n";
  };
  for (const MetricsTable::Row& row : table.rows) add(row.name, row.values);
  add("mean", table.mean());
  return text;
}

}  // namespace dinomaly
