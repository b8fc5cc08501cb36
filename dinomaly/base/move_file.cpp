#include "dinomaly/base/move_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// 0, or errno: EEXIST where `to` exists.
int rename_to_free(const fs::path& from, const fs::path& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  std::error_code ignored;  // a file system that cannot tell
  if (fs::exists(fs::symlink_status(to, ignored))) return EEXIST;
  return rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// Renames to the first free name; 0 or errno. `to` becomes the name.
int rename_to_first_free(const fs::path& from, fs::path& to) {
  const fs::path wanted = to;
  int error = rename_to_free(from, to);
  for (int n = 2; error == EEXIST; ++n) {
    to =
        wanted.parent_path() / fmt::format("{}-{}{}", wanted.stem().string(), n, wanted.extension().string());
    error = rename_to_free(from, to);
  }
  return error;
}

// A relative link leads elsewhere from another folder: it moves as a link to where it led. 0 or errno.
int move_link(const fs::path& from, fs::path& to) {
  std::error_code error;
  const fs::path aim =
      fs::absolute(from.parent_path() / fs::read_symlink(from, error), error).lexically_normal();
  if (error) return error.value();
  const fs::path link = temporary_name(to);
  fs::create_symlink(aim, link, error);
  if (error) return error.value();
  int failed = rename_to_first_free(link, to);
  if (failed == 0 && unlink(from.c_str()) != 0) failed = errno;
  std::error_code ignored;
  if (failed != 0) fs::remove(fs::exists(fs::symlink_status(link, ignored)) ? link : to, ignored);
  return failed;
}

// Copies to a name of its own on the other file system. 0 or errno.
int copy_whole(const fs::path& from, const fs::path& copy) {
  std::error_code error;
  fs::copy_file(from, copy, error);
  if (error) return error.value();
  const int descriptor = open(copy.c_str(), O_RDONLY | O_CLOEXEC);
  const int synced = descriptor < 0 ? -1 : fsync(descriptor);  // the original is removed next
  const int why = errno;
  if (descriptor >= 0) close(descriptor);
  return synced == 0 ? 0 : why;
}

}  // namespace

fs::path move_file(const fs::path& from, const fs::path& to) {
  const auto check_done = [&](int error) {
    check_input(error == 0, "{}: cannot be moved to {}: {}", from.string(), to.string(),
                std::strerror(error));
  };
  if (to.has_parent_path()) make_folder(to.parent_path());
  fs::path target = to;
  std::error_code no_link;
  if (fs::is_symlink(from, no_link) && fs::read_symlink(from, no_link).is_relative()) {
    check_done(move_link(from, target));
    return target;
  }
  const int error = rename_to_first_free(from, target);
  if (error != EXDEV) {
    check_done(error);
    return target;
  }
  const fs::path copy = temporary_name(to);
  int failed = copy_whole(from, copy);
  if (failed == 0) failed = rename_to_first_free(copy, target);
  std::error_code ignored;
  if (failed != 0) fs::remove(copy, ignored);
  check_done(failed);
  if (unlink(from.c_str()) == 0) return target;
  const int why = errno;
  fs::remove(target, ignored);  // a file that moved twice would be two
  check_done(why);
  return target;
}

}  // namespace dinomaly
