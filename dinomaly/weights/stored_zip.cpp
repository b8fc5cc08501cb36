#include "dinomaly/weights/stored_zip.h"

#include <minizip/unzip.h>
#include <zlib.h>

#include <cstring>
#include <optional>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

// What the directory says of an entry.
struct Record {
  uint64_t compressed = 0, size = 0, offset = 0;
};

// Little-endian; the caller has checked that it lies in the file.
template <class T>
T zip_number(const MappedFile& file, uint64_t at) {
  T value;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

bool is_record(const MappedFile& file, uint64_t at, uint64_t bytes, std::string_view magic) {
  return at <= file.size() && bytes <= file.size() - at &&
         std::memcmp(file.data() + at, magic.data(), 4) == 0;
}

// The directory's record at `at`; none if it is damaged. Numbers that do not fit into 32 bits stand in the extra
// field 1, in this order.
std::optional<Record> read_record(const MappedFile& file, uint64_t at) {
  constexpr uint64_t fixed = 46, field_head = 4, zip64 = 1, elsewhere = 0xffffffff;
  if (!is_record(file, at, fixed, "PK\x01\x02")) return std::nullopt;
  Record record{zip_number<uint32_t>(file, at + 20), zip_number<uint32_t>(file, at + 24),
                zip_number<uint32_t>(file, at + 42)};
  uint64_t field = at + fixed + zip_number<uint16_t>(file, at + 28);
  const uint64_t end = field + zip_number<uint16_t>(file, at + 30);
  if (end > file.size()) return std::nullopt;
  while (field + field_head <= end) {
    const uint64_t id = zip_number<uint16_t>(file, field);
    uint64_t number = field + field_head;
    field = number + zip_number<uint16_t>(file, field + 2);
    if (field > end) return std::nullopt;
    if (id != zip64) continue;
    for (uint64_t* value : {&record.size, &record.compressed, &record.offset}) {
      if (*value != elsewhere) continue;
      if (number + sizeof(uint64_t) > field) return std::nullopt;
      *value = zip_number<uint64_t>(file, number);
      number += sizeof(uint64_t);
    }
  }
  return record;
}

// Where an entry's bytes begin, after its own header, its name and extra fields; none if its header is of another.
std::optional<uint64_t> data_begin(const MappedFile& file, uint64_t header, std::string_view name) {
  constexpr uint64_t fixed = 30;
  if (!is_record(file, header, fixed + name.size(), "PK\x03\x04")) return std::nullopt;
  const bool same = zip_number<uint16_t>(file, header + 8) == 0 &&  // stored
                    zip_number<uint16_t>(file, header + 26) == name.size() &&
                    std::memcmp(file.data() + header + fixed, name.data(), name.size()) == 0;
  if (!same) return std::nullopt;
  return header + fixed + name.size() + zip_number<uint16_t>(file, header + 28);
}

}  // namespace

StoredZip::StoredZip(const std::filesystem::path& path)
    : source_(path.string()), file_(MappedFile::read(path)) {
  const std::unique_ptr<void, int (*)(unzFile)> archive(unzOpen64(path.c_str()), unzClose);
  check_input(archive != nullptr, "{}: a damaged zip archive, perhaps cut short (no table of contents)",
              source_);
  int status = unzGoToFirstFile(archive.get());
  for (; status == UNZ_OK; status = unzGoToNextFile(archive.get())) add_current_entry(archive.get());
  check_input(status == UNZ_END_OF_LIST_OF_FILE, "{}: a damaged zip archive after {}", source_,
              counted(entries_.size(), "entry", "entries"));
}

// Of the directory minizip is asked only for names and for where its records lie: minizip 1.1 does not see the
// 64-bit sizes and offsets of archives of more than 4 GB.
void StoredZip::add_current_entry(void* archive) {
  constexpr uint64_t longest_name = 4096;
  unz_file_info64 info{};
  unz64_file_pos place{};
  std::vector<char> name(longest_name + 1);
  check_input(
      unzGetCurrentFileInfo64(archive, &info, name.data(), longest_name, nullptr, 0, nullptr, 0) == UNZ_OK &&
          unzGetFilePos64(archive, &place) == UNZ_OK && info.size_filename <= longest_name,
      "{}: a damaged zip archive after {}", source_, counted(entries_.size(), "entry", "entries"));
  const std::string key(name.data(), info.size_filename);
  const std::optional<Record> record = read_record(*file_, place.pos_in_zip_directory);
  Entry entry;
  entry.crc = static_cast<uint32_t>(info.crc);
  entry.stored = info.compression_method == 0 && (info.flag & 1) == 0;
  check_input(record && (!entry.stored || record->compressed == record->size),
              "{}: a damaged zip archive: the record of entry '{}'", source_, printable(key));
  entry.size = record->size;
  if (entry.stored) {
    const std::optional<uint64_t> begin = data_begin(*file_, record->offset, key);
    check_input(begin.has_value(), "{}: a damaged zip archive: entry '{}' does not begin where it should",
                source_, printable(key));
    entry.begin = *begin;
    check_input(entry.begin <= file_->size() && entry.size <= file_->size() - entry.begin,
                "{}: a damaged zip archive: entry '{}' reaches beyond the end of the file", source_,
                printable(key));
  }
  check_input(entries_.emplace(key, entry).second, "{}: a damaged zip archive: '{}' appears twice in it",
              source_, printable(key));
}

StoredZip::Bytes StoredZip::get(const std::string& name, bool verify) const {
  const auto found = entries_.find(name);
  check_input(found != entries_.end(), "{}: no '{}' in the archive", source_, printable(name));
  const Entry& entry = found->second;
  check_input(entry.stored, "{}: '{}' is compressed or encrypted, which PyTorch never does", source_,
              printable(name));
  const Bytes bytes{file_->data() + entry.begin, entry.size};
  if (verify) {
    const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data), bytes.size);
    check_input(crc == entry.crc, "{}: damaged: the checksum of '{}' is wrong", source_, printable(name));
  }
  return bytes;
}

std::vector<std::string> StoredZip::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : entries_) result.push_back(name);
  return result;
}

}  // namespace dinomaly
