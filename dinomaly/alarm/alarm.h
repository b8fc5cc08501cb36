// Anomalies as they are found, told to programs, web services and brokers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace dinomaly {

// One way to tell. send() returns when the message has arrived, and throws InputError saying why it has not.
class AlarmWay {
 public:
  virtual ~AlarmWay() = default;
  virtual void send(const std::string& json) = 0;
};

struct AlarmFlags {
  std::string command, webhook, mqtt;  // empty: not that way
  bool any() const { return !command.empty() || !webhook.empty() || !mqtt.empty(); }
};

// The ways that the flags name. Throws InputError naming the flag: no such program, no address, a build without the library.
std::vector<std::unique_ptr<AlarmWay>> alarm_ways(const AlarmFlags& flags);

class Alarm {
 public:
  using Say = std::function<void(const std::string&)>;
  static constexpr size_t most_waiting = 1000;

  // `say` is told of each message that did not arrive, on another thread.
  Alarm(std::vector<std::unique_ptr<AlarmWay>> ways, Say say);
  // Messages that have not been sent are lost: call finish() before.
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // Returns at once. Beyond most_waiting the message is not sent, but counted and said.
  void raise(std::string json);
  // Waits until all is sent, but no longer than `seconds`. Returns how many messages did not arrive, each way counting on its own.
  int64_t finish(double seconds = 60);

 private:
  void run(std::stop_token stop);
  void send(const std::string& json);

  std::vector<std::unique_ptr<AlarmWay>> ways_;
  Say say_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> waiting_;
  bool sending_ = false;
  int64_t lost_ = 0;
  std::jthread thread_;  // the last member: what it uses exists before it
};

}  // namespace dinomaly
