// What the zip archive that torch.save() writes says of itself: every entry that is neither the pickle nor a
// storage.
#pragma once

#include <string>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/stored_zip.h"

namespace dinomaly {

struct TorchArchive {
  std::string folder;       // what precedes "data.pkl" and "data/KEY": "archive/"
  bool big_endian = false;  // the byte order of the storages; PyTorch before 2.1 did not state it: little
};

// Reads the entries beside pickle and storages. Throws InputError naming file and entry for a TorchScript
// program, a version that is not known, a byte order that is neither "little" nor "big", and any entry that
// torch.save() does not write: it may say something about the data that would be missed.
TorchArchive read_torch_archive(const StoredZip& zip, const std::string& source);

}  // namespace dinomaly
