// Metrics by category, as text, JSON and CSV.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/evaluation/evaluate_official.h"

namespace dinomaly {

struct MetricsTable {
  struct Column {
    std::string key, heading;  // "image_auroc", "I-AUROC"
  };
  struct Row {
    std::string name;
    std::vector<double> values;  // one per column; NaN if undefined
  };
  std::string protocol;  // "paper" or "official"
  std::vector<Column> columns;
  std::vector<Row> rows;  // the categories, without their mean

  std::vector<double> mean() const;
};

// To six decimals, in files as well as on paper: the small term in the authors' F1 makes 0.9999999500000026 of 1.
double rounded_metric(double value);
// A field of a CSV file (RFC 4180), in quotes where it needs them.
std::string csv_field(const std::string& text);

// The seven numbers, and three of objects (object_metrics) where any category has objects of several images, and
// four of infrared images where there are such.
MetricsTable paper_table(const std::vector<CategoryResult>& results);
// The numbers of the table's columns, of which there are these.
std::vector<double> paper_values(const MetricsTable& table, const AllMetrics& metrics);

MetricsTable official_table();  // without rows
void add_row(MetricsTable& table, const std::string& category, const OfficialMetrics& metrics);

// One line per category and their mean; a dash for an undefined number.
std::string to_text(const MetricsTable& table);
// {"protocol": ..., "categories": {NAME: {KEY: number or null}}, "mean": {KEY: ...}}.
nlohmann::json to_json(const MetricsTable& table);
// "category,KEY,..." and one line per row, the mean last; an empty field for an undefined number.
std::string to_csv(const MetricsTable& table);

}  // namespace dinomaly
