#include "dinomaly/inference/streams.h"

#include <algorithm>
#include <utility>

#include "tensor/threads.h"

namespace dinomaly {

Streams::Streams(const Predictor& predictor, Sink sink)
    : predictor_(predictor),
      sink_(std::move(sink)),
      count_(predictor.on_cpu() ? static_cast<size_t>(useful_threads()) : 1),
      sink_thread_([this](std::stop_token stop) { run_sink(stop); }) {}

Streams::~Streams() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return parts_.empty() || failure_; });
  }
  for (std::jthread& thread : threads_) thread.request_stop();
  sink_thread_.request_stop();
}

size_t Streams::wanted(const Predictor& predictor) {
  return static_cast<size_t>(predictor.on_cpu() ? useful_threads() : predictor.batch());
}

void Streams::add(std::vector<InputImage> images) {
  if (!predictor_.on_cpu()) return add_part(std::move(images), false);
  const bool many = count_ > 1 && images.size() >= std::max<size_t>(2, count_ / 4);
  for (InputImage& image : images) {
    bool in_stream = many;
    {
      std::unique_lock lock(mutex_);
      // Of an image that is read in strips, all threads compute the tiles.
      if (image.tiles) changed_.wait(lock, [&] { return in_streams_ == 0; });
      in_stream = !image.tiles && (many || in_streams_ > 0);
    }
    std::vector<InputImage> one;
    one.push_back(std::move(image));
    add_part(std::move(one), in_stream);
  }
}

bool Streams::has_room(const Part& part) const {
  if (part.images[0].tiles) return parts_.size() < 2;
  const bool fits = bytes_ + part.bytes <= most_waiting_bytes;
  return parts_.size() <= count_ || (parts_.size() <= 2 * count_ && fits);
}

void Streams::add_part(std::vector<InputImage> images, bool in_stream) {
  const auto part = std::make_shared<Part>(Part{.images = std::move(images), .in_stream = in_stream});
  for (const InputImage& image : part->images) part->bytes += memory_of(image);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || has_room(*part); });
    if (failure_) std::rethrow_exception(failure_);
    parts_.push_back(part);
    bytes_ += part->bytes;
    if (in_stream) {
      waiting_.push_back(part);
      ++in_streams_;
      changed_.notify_all();
    }
  }
  if (!in_stream) return compute(*part);
  while (threads_.size() < count_) threads_.emplace_back([this](std::stop_token stop) { run_stream(stop); });
}

void Streams::compute(Part& part) {
  std::exception_ptr error;
  try {
    part.predictions = predictor_.predict_each(part.images);
    for (InputImage& image : part.images) image.inputs = {};
  } catch (...) {
    error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  part.error = error;
  part.done = true;
  if (part.in_stream) --in_streams_;
  changed_.notify_all();
}

void Streams::run_stream(std::stop_token stop) {
  const SerialLoops alone;
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return !waiting_.empty(); }) || stop.stop_requested()) return;
    const std::shared_ptr<Part> part = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    compute(*part);
  }
}

void Streams::hand_out(Part& part) const {
  if (part.error) std::rethrow_exception(part.error);
  std::optional<SerialLoops> alone;  // the other threads have images
  if (part.in_stream) alone.emplace();
  for (size_t i = 0; i < part.images.size(); ++i) {
    // A map of the image's own size, if the sink asks for it, lives no longer than its turn.
    const Prediction prediction = std::exchange(part.predictions[i], {});
    sink_(part.images[i], prediction);
  }
}

void Streams::run_sink(std::stop_token stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return !parts_.empty() && parts_.front()->done; })) return;
    const std::shared_ptr<Part> part = parts_.front();
    lock.unlock();
    std::exception_ptr error;
    try {
      hand_out(*part);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    parts_.pop_front();
    bytes_ -= part->bytes;
    failure_ = error;
    changed_.notify_all();
    if (error) return;
  }
}

void Streams::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return parts_.empty() || failure_; });
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace dinomaly
