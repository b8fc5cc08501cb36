#include "dinomaly/cli/images_with_depth.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "dinomaly/base/numbers.h"
#include "dinomaly/inference/watch.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr size_t most_remembered = 64;  // images that arrived

FileVersion version_of_depth(const fs::path& image) {
  const auto depth = depth_of(image);
  return depth ? file_version(*depth) : FileVersion();
}

Picture without_image(const fs::path& file, const Companion& companion) {
  Picture picture(companion.image);
  picture.fault =
      fmt::format("{}: the {} of an image that is missing: {} (.png, .jpg, ...)", file.string(),
                  companion.kind == CompanionKind::mask ? "mask" : "depth", companion.image.string());
  return picture;
}

}  // namespace

bool ImagesWithDepth::pass_over(const fs::path& file) {
  const auto companion = companion_by_name(file);
  if (!companion || !companion->has_image) return false;
  ++counts_[companion->kind];
  return true;
}

std::optional<Picture> ImagesWithDepth::take(const fs::path& file) {
  if (pass_over(file)) return std::nullopt;
  const auto companion = companion_by_name(file);
  return companion ? without_image(file, *companion) : picture_with_depth(file);
}

// The image is another than the one that was given away under this name, and the depth is the same.
bool ImagesWithDepth::has_old_depth(const fs::path& image) const {
  const auto given = std::find_if(given_.begin(), given_.end(),
                                  [&](const Given& earlier) { return earlier.image == image; });
  return given != given_.end() && given->version != file_version(image) &&
         given->depth == version_of_depth(image);
}

// Whether there is nothing left to wait for.
bool ImagesWithDepth::is_complete(const fs::path& file) const {
  if (const auto companion = companion_by_name(file)) return companion->has_image;
  const auto depth = depth_of(file);
  return depth && is_whole(*depth) && !has_old_depth(file);
}

// take() for what arrived, which is remembered.
std::optional<Picture> ImagesWithDepth::give(const fs::path& file) {
  std::optional<Picture> picture = take(file);
  if (!picture || !picture->depth) return picture;
  if (has_old_depth(file)) {
    picture->fault =
        fmt::format("{}: its depth is that of the image before: {}", file.string(), picture->depth->string());
  }
  std::erase_if(given_, [&](const Given& earlier) { return earlier.image == file; });
  given_.push_back({file, file_version(file), file_version(*picture->depth)});
  if (given_.size() > most_remembered) given_.pop_front();
  return picture;
}

std::optional<Picture> ImagesWithDepth::arrive(const fs::path& file) {
  std::erase_if(waiting_, [&](const Waiting& other) { return other.file == file; });
  if (is_complete(file)) return give(file);
  waiting_.push_back({file, Clock::now() + wait_});
  return std::nullopt;
}

std::optional<Picture> ImagesWithDepth::due() {
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    const bool late = waiting->until <= Clock::now();
    if (!late && !is_complete(waiting->file)) {
      ++waiting;
      continue;
    }
    const fs::path file = waiting->file;
    waiting = waiting_.erase(waiting);
    std::error_code ignored;
    // A depth that moved away with its image needs none.
    if (companion_by_name(file) && !fs::exists(file, ignored)) continue;
    std::optional<Picture> picture = give(file);
    if (picture && !picture->fault.empty())
      picture->fault += fmt::format(" (waited {:.2g} seconds)", std::chrono::duration<double>(wait_).count());
    if (picture) return picture;
  }
  return std::nullopt;
}

std::string ImagesWithDepth::passed_over() const {
  std::string text;
  const auto add = [&](CompanionKind kind, const char* one, const char* several) {
    const auto found = counts_.find(kind);
    if (found == counts_.end()) return;
    text += (text.empty() ? "" : ", ") + counted(found->second, one, several);
  };
  add(CompanionKind::depth, "depth file", "depth files");
  add(CompanionKind::mask, "mask", "masks");
  add(CompanionKind::rendering, "other rendering", "other renderings");
  return text;
}

std::vector<fs::path> ImagesWithDepth::waiting() const {
  std::vector<fs::path> files;
  for (const Waiting& waiting : waiting_) files.push_back(waiting.file);
  return files;
}

}  // namespace dinomaly
