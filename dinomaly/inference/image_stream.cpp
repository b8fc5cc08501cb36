#include "dinomaly/inference/image_stream.h"

#include <new>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr size_t most_bytes = size_t{1} << 28;
constexpr int64_t most_pixels = int64_t{1} << 26;

size_t bytes_of(const InputImage& image) {
  return image.rgb.pixels.size() + (image.inputs.defined() ? image.inputs.bytes() : 0);
}

}  // namespace

ImageStream::ImageStream(NextPath next_path, std::function<Tensor(const Image&)> prepare, size_t most_ahead)
    : next_path_(std::move(next_path)),
      prepare_(std::move(prepare)),
      most_ahead_(most_ahead),
      thread_([this](std::stop_token stop) { run(stop); }) {}

ImageStream::~ImageStream() {
  thread_.request_stop();
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

InputImage ImageStream::read(const std::filesystem::path& path) const {
  InputImage image;
  image.path = path;
  try {
    image.rgb = load_image_rgb(path);
    image.inputs = prepare_(image.rgb);
  } catch (const InputError& error) {
    image.error = error.what();
  } catch (const std::bad_alloc&) {
    image.error = fmt::format("{}: too large for this machine's memory", path.string());
  }
  return image;
}

void ImageStream::run(std::stop_token stop) {
  try {
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [&] { return ready_.size() < most_ahead_ && ready_bytes_ < most_bytes; });
      }
      if (stop.stop_requested()) break;
      const std::optional<std::filesystem::path> path = next_path_(stop);
      if (!path) break;
      InputImage image = read(*path);
      const std::lock_guard lock(mutex_);
      ready_bytes_ += bytes_of(image);
      ready_.push_back(std::move(image));
      changed_.notify_all();
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

std::vector<InputImage> ImageStream::next(int64_t most) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || ended_; });
  if (ready_.empty() && failure_) std::rethrow_exception(failure_);
  std::vector<InputImage> images;
  int64_t pixels = 0;
  while (!ready_.empty() && static_cast<int64_t>(images.size()) < most) {
    pixels += ready_.front().rgb.width * ready_.front().rgb.height;
    if (!images.empty() && pixels > most_pixels) break;
    ready_bytes_ -= bytes_of(ready_.front());
    images.push_back(std::move(ready_.front()));
    ready_.pop_front();
  }
  changed_.notify_all();
  return images;
}

}  // namespace dinomaly
