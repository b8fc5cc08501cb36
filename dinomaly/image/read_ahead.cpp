#include "dinomaly/image/read_ahead.h"

#include <new>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int64_t most_pixels = int64_t{1} << 26;

}  // namespace

size_t memory_of(const InputImage& image) {
  const int64_t in_strips = image.tiles ? 3 * image.width * image.height : 0;
  return image.rgb.pixels.size() + (image.inputs.defined() ? image.inputs.bytes() : 0) +
         static_cast<size_t>(in_strips);
}

NextPicture in_order(std::vector<Picture> pictures) {
  return [pictures = std::move(pictures), next = size_t{0}](std::stop_token) mutable {
    return next < pictures.size() ? std::optional(pictures[next++]) : std::nullopt;
  };
}

void prepare_input(InputImage& image, Image decoded, const PixelRules& pixels,
                   const std::function<Tensor(const Image&)>& prepare) {
  image.width = decoded.width, image.height = decoded.height;
  image.channels = pixels.channels;
  if (image.channels == 1) {
    image.grey = is_grey(decoded.pixels);
    decoded = in_grey(decoded);
  }
  image.inputs = prepare(decoded);
  image.rgb = colours_of(std::move(decoded));
  if (image.channels == 3) image.grey = is_grey(image.rgb.pixels);
}

ReadAhead::ReadAhead(NextPicture next_picture, std::function<Tensor(const Image&)> prepare,
                     const ReadAheadOptions& options)
    : next_picture_(std::move(next_picture)),
      prepare_(std::move(prepare)),
      options_(options),
      thread_([this](std::stop_token stop) { run(stop); }) {}

ReadAhead::~ReadAhead() {
  thread_.request_stop();
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

InputImage ReadAhead::read(const Picture& picture) const {
  InputImage image;
  image.path = picture.path;
  const PixelRules in_colour = options_.pixels.in_colour();
  try {
    if (picture.strip || picture.depth || !picture.fault.empty()) {
      image.rgb = load_picture(picture, picture.depth ? options_.pixels : in_colour);
    } else {
      const ReadLimits& whole = options_.whole;
      std::unique_ptr<PixelRows> rows =
          open_picture(picture.path, options_.tiling.on() ? strip_limits : whole, options_.pixels.channels);
      const PixelLayout& layout = rows->layout();
      if (!whole.hold(layout.width, layout.height)) {
        image.channels = options_.pixels.channels;
        image.tiles = std::make_shared<TileReader>(std::move(rows), options_.pixels, options_.tiling);
        image.width = image.tiles->size().width, image.height = image.tiles->size().height;
        return image;
      }
      image.rgb = whole_image(*rows, in_colour);
    }
    prepare_input(image, std::move(image.rgb), options_.pixels, prepare_);
    image.rgb = options_.keep(std::move(image.rgb));
  } catch (const InputError& error) {
    image.error = error.what();
  } catch (const std::bad_alloc&) {
    image.error = fmt::format("{}: too large for this machine's memory", picture.path.string());
  }
  return image;
}

bool ReadAhead::has_room() const {
  return ready_.size() < wanted_ ||
         (ready_.size() < options_.most_ahead && ready_bytes_ < most_waiting_bytes);
}

void ReadAhead::run(std::stop_token stop) {
  try {
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [&] { return has_room(); });
      }
      if (stop.stop_requested()) break;
      const std::optional<Picture> picture = next_picture_(stop);
      if (!picture) break;
      InputImage image = read(*picture);
      const std::lock_guard lock(mutex_);
      ready_bytes_ += memory_of(image);
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

InputImage ReadAhead::take_first() {
  InputImage image = std::move(ready_.front());
  ready_.pop_front();
  ready_bytes_ -= memory_of(image);
  return image;
}

std::vector<InputImage> ReadAhead::next(int64_t most) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || ended_; });
  if (ready_.empty() && failure_) std::rethrow_exception(failure_);
  std::vector<InputImage> images;
  int64_t pixels = 0;
  while (!ready_.empty() && static_cast<int64_t>(images.size()) < most) {
    pixels += ready_.front().width * ready_.front().height;
    if (!images.empty() && pixels > most_pixels) break;
    images.push_back(take_first());
  }
  changed_.notify_all();
  return images;
}

std::vector<InputImage> ReadAhead::next_batch(int64_t count) {
  std::unique_lock lock(mutex_);
  wanted_ = static_cast<size_t>(count);
  changed_.notify_all();
  changed_.wait(lock, [&] { return ready_.size() >= wanted_ || ended_; });
  if (ready_.empty() && failure_) std::rethrow_exception(failure_);
  std::vector<InputImage> images;
  while (!ready_.empty() && images.size() < wanted_) images.push_back(take_first());
  wanted_ = 0;
  changed_.notify_all();
  return images;
}

void check_readable(const std::vector<InputImage>& images) {
  for (const InputImage& image : images) check_input(image.error.empty(), "{}", image.error);
}

}  // namespace dinomaly
