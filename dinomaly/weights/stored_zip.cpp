#include "dinomaly/weights/stored_zip.h"

#include <minizip/unzip.h>
#include <zlib.h>

#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

StoredZip::StoredZip(const std::filesystem::path& path)
    : source_(path.string()), file_(MappedFile::open(path)) {
  const std::unique_ptr<void, int (*)(unzFile)> archive(unzOpen64(path.c_str()), unzClose);
  check_input(archive != nullptr, "{}: a damaged zip archive, perhaps cut short (no table of contents)",
              source_);
  int status = unzGoToFirstFile(archive.get());
  for (; status == UNZ_OK; status = unzGoToNextFile(archive.get())) add_current_entry(archive.get());
  check_input(status == UNZ_END_OF_LIST_OF_FILE, "{}: a damaged zip archive after {} entries", source_,
              entries_.size());
}

void StoredZip::add_current_entry(void* archive) {
  constexpr uint64_t longest_name = 4096;
  unz_file_info64 info{};
  std::vector<char> name(longest_name + 1);
  check_input(
      unzGetCurrentFileInfo64(archive, &info, name.data(), longest_name, nullptr, 0, nullptr, 0) == UNZ_OK &&
          info.size_filename <= longest_name,
      "{}: a damaged zip archive after {} entries", source_, entries_.size());
  const std::string key(name.data(), info.size_filename);
  Entry entry;
  entry.size = info.uncompressed_size;
  entry.crc = static_cast<uint32_t>(info.crc);
  entry.stored = info.compression_method == 0 && (info.flag & 1) == 0;
  if (entry.stored) {
    constexpr int raw = 1;
    int method = 0, level = 0;
    check_input(unzOpenCurrentFile2(archive, &method, &level, raw) == UNZ_OK,
                "{}: a damaged zip archive: entry '{}' does not begin where it should", source_,
                printable(key));
    entry.begin = unzGetCurrentFileZStreamPos64(archive);
    unzCloseCurrentFile(archive);
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

std::string StoredZip::find_ending(std::string_view end) const {
  for (const auto& [name, entry] : entries_) {
    if (name.ends_with(end)) return name;
  }
  return "";
}

}  // namespace dinomaly
