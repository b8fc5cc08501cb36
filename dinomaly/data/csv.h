// Tables in text files (RFC 4180), read with libcsv.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dinomaly {

// The first row names the columns. Blank rows are skipped.
struct CsvTable {
  std::map<std::string, size_t> columns;       // name in lower case -> index
  std::vector<std::vector<std::string>> rows;  // each as long as the first
  std::vector<size_t> numbers;  // of each row in the file, where the first is 1 and blank ones count

  bool has(const std::string& column) const { return columns.contains(column); }
  // Empty if there is no such column.
  const std::string& get(size_t row, const std::string& column) const;
};

// Throws InputError naming the file (and the row): unreadable, larger than 256 MB, unbalanced quotes, a row
// of another length than the first, a column named twice.
CsvTable read_csv(const std::filesystem::path& path);

}  // namespace dinomaly
