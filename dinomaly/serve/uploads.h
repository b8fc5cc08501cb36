// The images of a request's body.
#pragma once

#include <httplib.h>

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

  bool begin(const httplib::MultipartFormData& part);
  // The body is one image.
  bool begin_raw(const std::string& name);
  bool add(const char* bytes, size_t count);
  void check() const;  // throws Refusal
  std::vector<Upload> take() { return std::move(uploads_); }

 private:
  bool fail(int status, const std::string& why);

  int64_t left_;
  std::vector<Upload> uploads_;
  std::optional<Refusal> refusal_;
};

}  // namespace dinomaly
