// The newest picture of a stream that does not wait: what nobody has taken in time is dropped and counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "dinomaly/video/video_source.h"

namespace dinomaly {

class NewestFrame {
 public:
  struct Options {
    int64_t every = 1;
    double give_up = 0;  // seconds without a connection after which a lost stream is an error; 0: never
    std::function<void(const std::string&)> say = {};  // told when the stream is lost and when it is back
  };
  // Reads `source` on a thread of its own, and opens it anew when it is lost, after 1, 2, 4 ... 30 seconds.
  NewestFrame(std::unique_ptr<VideoSource> source, std::string name, VideoSource::Ended ended,
              Options options);
  ~NewestFrame();
  NewestFrame(const NewestFrame&) = delete;
  NewestFrame& operator=(const NewestFrame&) = delete;

  // Waits for one that was not taken yet; none once `ended`. Numbers and seconds go on over a new connection. Throws InputError
  // where the stream stays lost.
  std::optional<VideoFrame> next();
  int64_t dropped() const;

 private:
  void run(std::stop_token stop);
  void read_all(std::stop_token stop);
  bool reconnect(std::stop_token stop, const std::string& why);
  void put(VideoFrame frame);

  std::unique_ptr<VideoSource> source_;
  std::string name_;
  VideoSource::Ended ended_;
  Options options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<VideoFrame> newest_;
  int64_t dropped_ = 0, frames_before_ = 0;  // frames of earlier connections
  double seconds_before_ = 0;
  bool over_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;  // the last member: what it uses exists before it
};

}  // namespace dinomaly
