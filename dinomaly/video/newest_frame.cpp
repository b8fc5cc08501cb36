#include "dinomaly/video/newest_frame.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/shown_address.h"
#include "dinomaly/video/video_name.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto poll_time = std::chrono::milliseconds(50);

}  // namespace

NewestFrame::NewestFrame(std::unique_ptr<VideoSource> source, std::string name, VideoSource::Ended ended,
                         Options options)
    : source_(std::move(source)),
      name_(std::move(name)),
      ended_(std::move(ended)),
      options_(std::move(options)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

NewestFrame::~NewestFrame() = default;

int64_t NewestFrame::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void NewestFrame::put(VideoFrame frame) {
  const std::lock_guard lock(mutex_);
  dropped_ += newest_.has_value();
  newest_ = std::move(frame);
  changed_.notify_all();
}

std::optional<VideoFrame> NewestFrame::next() {
  std::unique_lock lock(mutex_);
  while (!newest_ && !over_ && !ended_()) changed_.wait_for(lock, poll_time);
  if (ended_()) return std::nullopt;
  if (!newest_ && failure_) std::rethrow_exception(failure_);
  return std::exchange(newest_, std::nullopt);
}

void NewestFrame::run(std::stop_token stop) {
  try {
    while (!stop.stop_requested() && !ended_()) {
      std::string why;
      try {
        read_all(stop);
        why = shown_address(name_) + ": the stream has ended";
      } catch (const InputError& error) {
        why = error.what();
      }
      if (!stop.stop_requested() && !ended_() && !reconnect(stop, why)) fail_input("{}", why);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  over_ = true;
  changed_.notify_all();
}

void NewestFrame::read_all(std::stop_token stop) {
  double last = seconds_before_;
  int64_t number = frames_before_ - 1;
  const auto begun = Clock::now();
  const double before = seconds_before_;
  const auto keep = [&] {
    frames_before_ = number + 1;
    seconds_before_ = std::max(last, before + std::chrono::duration<double>(Clock::now() - begun).count());
  };
  try {
    while (!stop.stop_requested() && !ended_()) {
      std::optional<VideoFrame> frame = source_->next(options_.every);
      if (!frame) break;
      frame->number += frames_before_;
      frame->seconds += before;
      number = frame->number;
      last = frame->seconds;
      put(std::move(*frame));
    }
  } catch (const InputError&) {
    keep();
    throw;
  }
  keep();
}

// False where it stays lost for as long as the options allow.
bool NewestFrame::reconnect(std::stop_token stop, const std::string& why) {
  if (options_.say) options_.say(why + "; connecting again");
  source_.reset();
  const auto lost = Clock::now();
  auto pause = std::chrono::milliseconds(1000);
  while (!stop.stop_requested() && !ended_()) {
    const std::chrono::duration<double> since = Clock::now() - lost;
    if (options_.give_up > 0 && since.count() >= options_.give_up) return false;
    auto until = Clock::now() + pause;
    if (options_.give_up > 0)
      until = std::min(until, lost + std::chrono::duration_cast<Clock::duration>(
                                         std::chrono::duration<double>(options_.give_up)));
    while (Clock::now() < until && !stop.stop_requested() && !ended_())
      std::this_thread::sleep_for(poll_time);
    pause = std::min(2 * pause, std::chrono::milliseconds(30000));
    try {
      source_ =
          std::make_unique<VideoSource>(name_, [this, stop] { return stop.stop_requested() || ended_(); });
    } catch (const InputError&) {
      continue;
    }
    seconds_before_ += std::chrono::duration<double>(Clock::now() - lost).count();
    if (options_.say) options_.say(shown_address(name_) + ": connected again");
    return true;
  }
  return true;
}

}  // namespace dinomaly
