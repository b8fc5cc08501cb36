#include "dinomaly/serve/uploads.h"

#include <fmt/format.h>

#include "dinomaly/base/framework.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

constexpr size_t most_parts = 256;  // images of a request
constexpr size_t longest_name = 255;

std::string upload_name(const std::string& name) {
  return name.empty() ? "image" : name.substr(0, longest_name);
}

}  // namespace

bool UploadReader::begin(const std::string& field, const std::string& file_name, const std::string& type) {
  if (uploads_.size() == most_parts) return fail(413, fmt::format("more than {} images", most_parts));
  if (file_name.empty() && !type.starts_with("image/"))
    return fail(400,
                fmt::format("the part '{}' is no file: it has neither a filename nor the type of an image",
                            printable(field, 40)));
  uploads_.push_back({upload_name(file_name), ""});
  return true;
}

bool UploadReader::begin_raw(const std::string& name) {
  uploads_.push_back({upload_name(name), ""});
  return true;
}

bool UploadReader::add(const char* bytes, size_t count) {
  if (static_cast<int64_t>(count) > left_) return fail(413, "the body is larger than --max-body");
  left_ -= static_cast<int64_t>(count);
  uploads_.back().bytes.append(bytes, count);
  return true;
}

void UploadReader::check() const {
  if (refusal_) throw Refusal(*refusal_);
}

bool UploadReader::fail(int status, const std::string& why) {
  refusal_.emplace(status, why);
  return false;
}

}  // namespace dinomaly
