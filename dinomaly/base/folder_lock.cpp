#include "dinomaly/base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

FolderLock::FolderLock(const std::filesystem::path& folder) {
  make_folder(folder);
  descriptor_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool taken = descriptor_ >= 0 && flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!taken) return;
  close(descriptor_);
  fail_input("{}: another run is writing into this folder; wait for its end or use another one",
             folder.string());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace dinomaly
