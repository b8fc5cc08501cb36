// In place of download.cpp where the program is built without libcurl.
#include "dinomaly/base/framework.h"
#include "dinomaly/download/download.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

void download(const std::string& address, const std::filesystem::path& part, const DownloadProgress&,
              const DownloadLimits&) {
  fail_input(
      "{}: this program was built without libcurl and cannot fetch it; put the file where {} says, without "
      ".part",
      printable(address, 300), part.string());
}

}  // namespace dinomaly
