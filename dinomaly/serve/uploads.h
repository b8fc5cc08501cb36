// The images of a request's body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/serve/answer.h"

namespace dinomaly {

// Takes the bytes in their parts as they come. Each call returns whether to go on: what goes wrong stops the reading, and
// check() throws it afterwards.
class UploadReader {
 public:
  explicit UploadReader(int64_t most_bytes) : left_(most_bytes) {}

  // `part` is what httplib says of one; its type has two names, before 0.23 and since.
  template <class Part>
  bool begin(const Part& part) {
    return begin(part.name, part.filename, part.content_type);
  }
  // The body is one image.
  bool begin_raw(const std::string& name);
  bool add(const char* bytes, size_t count);
  void check() const;  // throws Refusal
  std::vector<Upload> take() { return std::move(uploads_); }

 private:
  bool begin(const std::string& field, const std::string& file_name, const std::string& type);
  bool fail(int status, const std::string& why);

  int64_t left_;
  std::vector<Upload> uploads_;
  std::optional<Refusal> refusal_;
};

}  // namespace dinomaly
