#include "dinomaly/data/csv.h"

#include <csv.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

using Rows = std::vector<std::vector<std::string>>;

// libcsv's callbacks for the end of a field and of a row.
void end_field(void* text, size_t size, void* rows) {
  static_cast<Rows*>(rows)->back().emplace_back(static_cast<const char*>(text), size);
}
void end_row(int, void* rows) { static_cast<Rows*>(rows)->emplace_back(); }

Rows parse(const std::string& bytes, const std::string& source) {
  csv_parser parser;
  check(csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) == 0, "libcsv: cannot start");
  Rows rows(1);
  const bool ok = csv_parse(&parser, bytes.data(), bytes.size(), end_field, end_row, &rows) == bytes.size() &&
                  csv_fini(&parser, end_field, end_row, &rows) == 0;
  csv_free(&parser);
  check_input(ok, "{}: row {}: quotes are not balanced", source, rows.size());
  if (rows.back().empty()) rows.pop_back();
  return rows;
}

}  // namespace

const std::string& CsvTable::get(size_t row, const std::string& column) const {
  static const std::string none;
  const auto found = columns.find(column);
  return found == columns.end() ? none : rows[row][found->second];
}

CsvTable read_csv(const std::filesystem::path& path) {
  constexpr uint64_t largest = 256'000'000;
  std::string bytes = read_file(path, largest);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);  // UTF-8's byte order mark
  CsvTable table;
  table.rows = parse(bytes, path.string());
  check_input(!table.rows.empty(), "{}: empty", path.string());
  const std::vector<std::string> names = table.rows.front();
  table.rows.erase(table.rows.begin());
  for (std::string name : names) {
    for (char& letter : name) {
      if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
    }
    check_input(table.columns.emplace(name, table.columns.size()).second, "{}: column '{}' is named twice",
                path.string(), printable(name));
  }
  for (size_t row = 0; row < table.rows.size(); ++row) {
    check_input(table.rows[row].size() == names.size(), "{}: row {} has {}, the first line {}", path.string(),
                row + 2, counted(table.rows[row].size(), "field"), names.size());
  }
  return table;
}

}  // namespace dinomaly
