#include "dinomaly/image/read_ahead.h"

#include <new>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/threads.h"

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

int readers_for(Device device) { return device.is_cpu() ? 1 : useful_threads(); }

ReadAhead::ReadAhead(NextPicture next_picture, std::function<Tensor(const Image&)> prepare,
                     const ReadAheadOptions& options)
    : next_picture_(std::move(next_picture)),
      prepare_(std::move(prepare)),
      options_(options),
      reading_(static_cast<size_t>(options.readers)) {
  for (int i = 0; i < options.readers; ++i)
    threads_.emplace_back([this](std::stop_token stop) { run(stop); });
}

ReadAhead::~ReadAhead() {
  for (std::jthread& thread : threads_) thread.request_stop();
  changed_.notify_all();
  threads_.clear();
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
  return slots_.size() < wanted_ ||
         (slots_.size() < options_.most_ahead && ready_bytes_ < most_waiting_bytes);
}

// Takes the next picture and its place in the order; null where there is none. A slot stays where it is until its image
// is done and taken.
ReadAhead::Slot* ReadAhead::begin_next(std::stop_token stop, std::optional<Picture>& picture) {
  const std::lock_guard source(source_mutex_);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return no_more_ || has_room(); });
    if (no_more_ || stop.stop_requested()) return nullptr;
  }
  std::exception_ptr failure;
  try {
    picture = next_picture_(stop);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  if (failure) slots_.push_back({.failure = failure, .done = true});
  if (!picture) no_more_ = true;
  return picture ? &slots_.emplace_back() : nullptr;
}

void ReadAhead::run(std::stop_token stop) {
  std::optional<SerialLoops> alone;
  if (options_.readers > 1) alone.emplace();  // the other threads have images
  std::optional<Picture> picture;
  while (Slot* slot = begin_next(stop, picture)) {
    InputImage image;
    std::exception_ptr failure;
    try {
      image = read(*picture);
    } catch (...) {
      failure = std::current_exception();
    }
    picture.reset();
    const std::lock_guard lock(mutex_);
    ready_bytes_ += memory_of(image);
    slot->image = std::move(image);
    slot->failure = failure;
    slot->done = true;
    if (failure) no_more_ = true;
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  --reading_;
  changed_.notify_all();
}

// Images at the front that nothing is missing of; all of them where one has failed or the end is reached.
size_t ReadAhead::ready() const {
  size_t count = 0;
  while (count < slots_.size() && slots_[count].done) {
    if (slots_[count].failure) return SIZE_MAX;
    ++count;
  }
  return reading_ == 0 ? SIZE_MAX : count;
}

// From the front, up to `count` images, or `pixels` and one image. Rethrows a failure that comes first.
std::vector<InputImage> ReadAhead::take(size_t count, int64_t pixels) {
  std::vector<InputImage> images;
  while (!slots_.empty() && slots_.front().done && images.size() < count) {
    Slot& first = slots_.front();
    if (first.failure && images.empty()) std::rethrow_exception(first.failure);
    pixels -= first.image.width * first.image.height;
    if (first.failure || (!images.empty() && pixels < 0)) break;
    ready_bytes_ -= memory_of(first.image);
    images.push_back(std::move(first.image));
    slots_.pop_front();
  }
  changed_.notify_all();
  return images;
}

std::vector<InputImage> ReadAhead::next(int64_t most) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ready() >= 1; });
  return take(static_cast<size_t>(most), most_pixels);
}

std::vector<InputImage> ReadAhead::next_batch(int64_t count) {
  std::unique_lock lock(mutex_);
  wanted_ = static_cast<size_t>(count);
  changed_.notify_all();
  changed_.wait(lock, [&] { return ready() >= wanted_; });
  wanted_ = 0;
  return take(static_cast<size_t>(count), INT64_MAX);
}

void check_readable(const std::vector<InputImage>& images) {
  for (const InputImage& image : images) check_input(image.error.empty(), "{}", image.error);
}

}  // namespace dinomaly
