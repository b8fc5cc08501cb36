#include "dinomaly/weights/torch_archive.h"

#include <charconv>
#include <system_error>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

constexpr std::string_view pickle_name = "data.pkl";

// Everything before the only "data.pkl".
std::string find_folder(const StoredZip& zip, const std::string& source) {
  std::vector<std::string> folders;
  for (const std::string& name : zip.names()) {
    const std::string folder = name.substr(0, name.rfind('/') + 1);
    if (name == folder + std::string(pickle_name)) folders.push_back(folder);
  }
  check_input(!folders.empty(), "{}: a zip archive, but not one of PyTorch's: it has no {}", source,
              pickle_name);
  if (folders.size() > 1)
    fail_input("{}: {} archives in one: '{}{}' and '{}{}'", source, folders.size(), printable(folders[0]),
               pickle_name, printable(folders[1]), pickle_name);
  return folders[0];
}

// A short entry without the line end that some have.
std::string short_text(const StoredZip& zip, const std::string& name, const std::string& source) {
  constexpr uint64_t longest = 64;
  const StoredZip::Bytes bytes = zip.get(name, true);
  check_input(bytes.size <= longest, "{}: '{}' has {} bytes, more than {}", source, printable(name),
              bytes.size, longest);
  std::string text(reinterpret_cast<const char*>(bytes.data), bytes.size);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// `last` is the highest that is known; 0: any.
void check_number(const StoredZip& zip, const std::string& name, uint64_t last, const std::string& source) {
  const std::string text = short_text(zip, name, source);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check_input(error == std::errc() && end == text.data() + text.size() && number >= 1 &&
                  (last == 0 || number <= last),
              "{}: '{}' says '{}'; {} is known", source, printable(name), printable(text),
              last == 0   ? "a whole number from 1"
              : last == 1 ? "1"
                          : fmt::format("1 to {}", last));
}

bool is_big_endian(const StoredZip& zip, const std::string& name, const std::string& source) {
  const std::string order = short_text(zip, name, source);
  check_input(order == "little" || order == "big", "{}: '{}' says '{}', neither little nor big", source,
              printable(name), printable(order));
  return order == "big";
}

}  // namespace

TorchArchive read_torch_archive(const StoredZip& zip, const std::string& source) {
  TorchArchive archive{find_folder(zip, source)};
  const std::vector<std::string> names = zip.names();
  for (const std::string& name : names) {
    const bool script =
        name == archive.folder + "constants.pkl" || name.starts_with(archive.folder + "code/");
    check_input(!script, "{}: a TorchScript program, not a state dict (save model.state_dict())", source);
  }
  for (const std::string& name : names) {
    if (name.ends_with('/') && zip.size_of(name) == 0) continue;  // a folder
    check_input(name.starts_with(archive.folder), "{}: '{}' is not under '{}' as the other entries are",
                source, printable(name), printable(archive.folder));
    const std::string record = name.substr(archive.folder.size());
    if (record == pickle_name || record.starts_with("data/")) continue;
    if (record == ".data/serialization_id") continue;  // a hash of the archive's names
    if (record == "byteorder") {
      archive.big_endian = is_big_endian(zip, name, source);
    } else if (record == "version" || record == ".data/version") {
      check_number(zip, name, 10, source);  // 3 since 1.6; PyTorch 2 reads up to 10
    } else if (record == ".format_version") {
      check_number(zip, name, 2, source);  // the order of the storages; then the alignment, too
    } else if (record == ".storage_alignment") {
      check_number(zip, name, 0, source);  // the zip's table says where each storage lies
    } else {
      fail_input("{}: '{}' is not an entry that torch.save() writes", source, printable(name));
    }
  }
  return archive;
}

}  // namespace dinomaly
