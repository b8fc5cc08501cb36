#include "dinomaly/report/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace dinomaly {

using nlohmann::json;

namespace {

// Only where there are objects of several images.
void add_object_columns(MetricsTable& table, const std::vector<CategoryResult>& results) {
  const auto has_objects = [](const CategoryResult& result) { return !result.objects.empty(); };
  if (std::none_of(results.begin(), results.end(), has_objects)) return;
  table.columns.insert(table.columns.end(),
                       {{"object_auroc", "O-AUROC"}, {"object_ap", "O-AP"}, {"object_f1max", "O-F1max"}});
  for (size_t i = 0; i < results.size(); ++i) {
    const RankingMetrics m = object_metrics(results[i].objects);
    std::vector<double>& values = table.rows[i].values;
    values.insert(values.end(), {m.auroc, m.ap, m.f1max});
  }
}

// Only where there are pairs of an RGB and an infrared image.
void add_infrared_columns(MetricsTable& table, const std::vector<CategoryResult>& results) {
  const auto has_infrared = [](const CategoryResult& result) { return result.infrared.has_value(); };
  if (std::none_of(results.begin(), results.end(), has_infrared)) return;
  table.columns.insert(table.columns.end(), {{"infrared_pixel_auroc", "IR-P-AUROC"},
                                             {"infrared_pixel_ap", "IR-P-AP"},
                                             {"infrared_pixel_f1max", "IR-P-F1max"},
                                             {"infrared_aupro", "IR-AUPRO"}});
  for (size_t i = 0; i < results.size(); ++i) {
    const Metrics m = results[i].infrared.value_or(Metrics{NAN, NAN, NAN, NAN, NAN, NAN, NAN});
    std::vector<double>& values = table.rows[i].values;
    values.insert(values.end(), {m.pixel_auroc, m.pixel_ap, m.pixel_f1max, m.aupro});
  }
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
  MetricsTable table{"paper",
                     {{"image_auroc", "I-AUROC"},
                      {"image_ap", "I-AP"},
                      {"image_f1max", "I-F1max"},
                      {"pixel_auroc", "P-AUROC"},
                      {"pixel_ap", "P-AP"},
                      {"pixel_f1max", "P-F1max"},
                      {"aupro", "AUPRO"}},
                     {}};
  for (const CategoryResult& result : results) {
    const Metrics& m = result.metrics;
    table.rows.push_back(
        {result.category,
         {m.image_auroc, m.image_ap, m.image_f1max, m.pixel_auroc, m.pixel_ap, m.pixel_f1max, m.aupro}});
  }
  add_object_columns(table, results);
  add_infrared_columns(table, results);
  return table;
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
