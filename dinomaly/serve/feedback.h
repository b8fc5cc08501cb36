// Good images that were called anomalous, kept for calibrate and train.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace dinomaly {

class Feedback {
 public:
  // FOLDER/MODEL/good/ takes at most `limit` images of each model.
  Feedback(std::filesystem::path folder, int64_t limit) : folder_(std::move(folder)), limit_(limit) {}

  // Keeps the bytes of an image under a name made of them, so that the same image is kept once, and returns its path below
  // the folder; none where there are `limit` images. `model`: a name of ModelShelf. Throws InputError where it cannot
  // be written.
  std::optional<std::filesystem::path> save(const std::string& model, const std::string& bytes);

 private:
  std::filesystem::path folder_;
  int64_t limit_;
  std::mutex mutex_;
  std::map<std::string, int64_t> counts_;  // by model
};

}  // namespace dinomaly
