#include "dinomaly/serve/feedback.h"

#include <algorithm>
#include <system_error>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/image/image_format.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

const char* extension_of(const std::string& bytes) {
  switch (format_of(bytes)) {
    case ImageFormat::png:
      return ".png";
    case ImageFormat::jpeg:
      return ".jpg";
    case ImageFormat::bmp:
      return ".bmp";
    case ImageFormat::tiff:
      return ".tiff";
    case ImageFormat::webp:
      return ".webp";
    case ImageFormat::npy:
      return ".npy";
    default:
      return ".ppm";
  }
}

int64_t files_in(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  return error ? 0 : std::distance(fs::begin(entries), fs::end(entries));
}

}  // namespace

std::optional<fs::path> Feedback::save(const std::string& model, const std::string& bytes) {
  constexpr size_t digits = 32;
  const fs::path name = fs::path(model) / "good" / (sha256_of(bytes).substr(0, digits) + extension_of(bytes));
  const std::lock_guard lock(mutex_);
  const auto [count, is_new] = counts_.try_emplace(model, 0);
  if (is_new) count->second = files_in((folder_ / name).parent_path());
  std::error_code error;
  if (fs::exists(folder_ / name, error)) return name;
  if (count->second >= limit_) return std::nullopt;
  write_file(folder_ / name, bytes);
  ++count->second;
  return name;
}

}  // namespace dinomaly
