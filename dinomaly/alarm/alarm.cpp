#include "dinomaly/alarm/alarm.h"

#include <chrono>
#include <exception>
#include <utility>

#include "dinomaly/alarm/command.h"
#include "dinomaly/alarm/mqtt.h"
#include "dinomaly/alarm/webhook.h"

namespace dinomaly {

std::vector<std::unique_ptr<AlarmWay>> alarm_ways(const AlarmFlags& flags) {
  std::vector<std::unique_ptr<AlarmWay>> ways;
  if (!flags.command.empty()) ways.push_back(alarm_by_command(flags.command));
  if (!flags.webhook.empty()) ways.push_back(alarm_by_webhook(flags.webhook));
  if (!flags.mqtt.empty()) ways.push_back(alarm_by_mqtt(flags.mqtt));
  return ways;
}

Alarm::Alarm(std::vector<std::unique_ptr<AlarmWay>> ways, Say say)
    : ways_(std::move(ways)),
      say_(std::move(say)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

Alarm::~Alarm() = default;

void Alarm::raise(std::string json) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < most_waiting) {
      waiting_.push_back(std::move(json));
      changed_.notify_all();
      return;
    }
    lost_ += static_cast<int64_t>(ways_.size());
  }
  say_("an anomaly was not told to anybody: " + std::to_string(most_waiting) + " others are waiting");
}

int64_t Alarm::finish(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [&] { return waiting_.empty() && !sending_; });
  lost_ += static_cast<int64_t>((waiting_.size() + (sending_ ? 1 : 0)) * ways_.size());
  waiting_.clear();
  return std::exchange(lost_, 0);
}

void Alarm::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) {
    const std::string json = std::move(waiting_.front());
    waiting_.pop_front();
    sending_ = true;
    lock.unlock();
    send(json);
    lock.lock();
    sending_ = false;
    changed_.notify_all();
  }
}

void Alarm::send(const std::string& json) {
  for (const std::unique_ptr<AlarmWay>& way : ways_) {
    try {
      way->send(json);
    } catch (const std::exception& error) {
      {
        const std::lock_guard lock(mutex_);
        ++lost_;
      }
      say_(error.what());
    }
  }
}

}  // namespace dinomaly
