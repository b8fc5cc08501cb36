// Images read, decoded and prepared by a thread of their own, while the caller computes on earlier ones.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "dinomaly/inference/predict.h"

namespace dinomaly {

// The path of the next image, waiting for it if need be; none at the end, or soon after a stop is
// requested.
using NextPath = std::function<std::optional<std::filesystem::path>(std::stop_token)>;

class ImageStream {
 public:
  // Calls `next_path` and `prepare` (what becomes InputImage::inputs) on the stream's own thread. At most
  // `most_ahead` images wait, and a further one is only begun while those waiting have fewer than 2^28
  // bytes.
  ImageStream(NextPath next_path, std::function<Tensor(const Image&)> prepare, size_t most_ahead = 32);
  // Requests a stop and waits for the thread.
  ~ImageStream();
  ImageStream(const ImageStream&) = delete;
  ImageStream& operator=(const ImageStream&) = delete;

  // Waits for one image and adds those that are ready behind it, in order, up to `most` images or 2^26
  // pixels. Empty at the end. One that cannot be read comes with its error; an exception of `next_path` is
  // rethrown after the images before it.
  std::vector<InputImage> next(int64_t most);

 private:
  void run(std::stop_token stop);
  InputImage read(const std::filesystem::path& path) const;

  NextPath next_path_;
  std::function<Tensor(const Image&)> prepare_;
  size_t most_ahead_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<InputImage> ready_;
  size_t ready_bytes_ = 0;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;  // the last member: what it uses exists before it
};

}  // namespace dinomaly
