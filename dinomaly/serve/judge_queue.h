// Images of all requests on their way through the models: so many at most, in batches.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/inference/streams.h"
#include "dinomaly/serve/models.h"
#include "dinomaly/serve/serve.h"

namespace dinomaly {

class JudgeQueue {
 public:
  // Room for images; held until they are judged. Null: there is none.
  using Place = std::shared_ptr<void>;
  struct Outcome {
    Prediction prediction;
    std::string error;      // not empty: the image has no prediction, and why
    bool is_fault = false;  // the error is ours, not the image's
  };

  // `limit`: images that are waiting or being judged. `batch_wait`: milliseconds that an image waits for others to be
  // judged with; none: 2 on a GPU and 0 on a CPU, which takes as long for each of many as for one.
  JudgeQueue(int64_t limit, std::optional<double> batch_wait);
  // Judges what was added.
  ~JudgeQueue();
  JudgeQueue(const JudgeQueue&) = delete;
  JudgeQueue& operator=(const JudgeQueue&) = delete;

  Place enter(int64_t images);
  // Holds `place` until the outcome is there. An image that nobody has begun with at its deadline is passed over.
  std::future<Outcome> judge(ModelPointer model, InputImage image, Deadline deadline, Place place);

  int64_t limit() const { return limit_; }
  int64_t inside() const;
  // Whole seconds until there may be room, 1 to 60.
  int64_t retry_after() const;
  // Batches that went to a model, and the images in them.
  std::pair<int64_t, int64_t> batches() const;
  // What a GPU has said after which all its work fails; empty: none has.
  std::string device_fault() const;

 private:
  struct Job {
    ModelPointer model;
    InputImage image;
    Deadline begun, deadline;
    Place place;
    std::promise<Outcome> outcome = {};
  };

  ServeClock::duration wait_for_others(const ServedModel& model) const;
  size_t waiting_for(const ServedModel* model) const;
  std::vector<Job> next_batch();
  void drop_expired(std::unique_lock<std::mutex>& lock);
  void judge_batch(std::vector<Job> batch);
  void begin_model(const ModelPointer& model);
  void end_model();
  void take_outcome(const InputImage& image, const Prediction& prediction);
  std::string text_of_failure();
  void fail_sent(const std::string& why);
  void run();

  const int64_t limit_;
  const std::optional<double> batch_wait_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  std::deque<Job> sent_;  // to streams_, in order
  int64_t inside_ = 0, batches_ = 0, batched_ = 0;
  double seconds_each_ = 0.1;  // between two outcomes while there is work; smoothed
  Deadline last_outcome_ = {};
  std::string device_fault_;
  bool stopping_ = false;
  // The model that images go through now; only the thread uses them.
  ModelPointer model_;
  std::optional<Streams> streams_;
  std::thread thread_;
};

}  // namespace dinomaly
