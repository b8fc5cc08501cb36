#include "dinomaly/data/csv.h"

#include <csv.h>

#include <utility>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

struct Reading {
  CsvTable table;
  std::vector<std::string> row;
  size_t number = 1;  // of `row`
  int ended_by = 0;   // the character that ended the row before
};

// libcsv's callbacks for the end of a field and of a row: blank ones too, and both characters of a line's \r\n.
void end_field(void* text, size_t size, void* reading) {
  static_cast<Reading*>(reading)->row.emplace_back(static_cast<const char*>(text), size);
}
void end_row(int by, void* context) {
  auto& reading = *static_cast<Reading*>(context);
  const bool same_end = reading.row.empty() && by == '\n' && reading.ended_by == '\r';
  reading.ended_by = same_end ? 0 : by;
  if (same_end) return;
  if (!reading.row.empty()) {
    reading.table.rows.push_back(std::move(reading.row));
    reading.table.numbers.push_back(reading.number);
    reading.row.clear();
  }
  ++reading.number;
}

CsvTable parse(const std::string& bytes, const std::string& source) {
  csv_parser parser;
  check(csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) == 0, "libcsv: cannot start");
  Reading reading;
  const bool ok =
      csv_parse(&parser, bytes.data(), bytes.size(), end_field, end_row, &reading) == bytes.size() &&
      csv_fini(&parser, end_field, end_row, &reading) == 0;
  csv_free(&parser);
  check_input(ok, "{}: row {}: quotes are not balanced", source, reading.number);
  return std::move(reading.table);
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
  CsvTable table = parse(bytes, path.string());
  check_input(!table.rows.empty(), "{}: empty", path.string());
  const std::vector<std::string> names = table.rows.front();
  table.rows.erase(table.rows.begin());
  table.numbers.erase(table.numbers.begin());
  for (std::string name : names) {
    for (char& letter : name) {
      if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
    }
    check_input(table.columns.emplace(name, table.columns.size()).second, "{}: column '{}' is named twice",
                path.string(), printable(name));
  }
  for (size_t row = 0; row < table.rows.size(); ++row) {
    check_input(table.rows[row].size() == names.size(), "{}: row {} has {}, but the first has {}",
                path.string(), table.numbers[row], counted(table.rows[row].size(), "field"), names.size());
  }
  return table;
}

}  // namespace dinomaly
