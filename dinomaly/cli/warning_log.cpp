#include "dinomaly/cli/warning_log.h"

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

constexpr int64_t most_lines = 5;

}  // namespace

void WarningLog::add(const std::filesystem::path& image, const std::vector<ImageWarning>& warnings,
                     Progress& progress) {
  for (const ImageWarning& warning : warnings) {
    if (++counts_[warning.kind] > most_lines) continue;
    progress.make_room();
    print_error("dinomaly: {}: {}\n", one_line(image.string()), warning.text);
  }
}

void WarningLog::count_others() const {
  for (const auto& [kind, count] : counts_) {
    if (count > most_lines)
      print_error("dinomaly: {} with the warning '{}'\n", counted(count - most_lines, "more image"), kind);
  }
}

}  // namespace dinomaly
