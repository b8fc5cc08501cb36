#include "dinomaly/serve/judge_queue.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr double gpu_wait = 2;  // milliseconds
constexpr std::chrono::seconds idle{1};

}  // namespace

JudgeQueue::JudgeQueue(int64_t limit, std::optional<double> batch_wait)
    : limit_(limit), batch_wait_(batch_wait), thread_([this] { run(); }) {}

JudgeQueue::~JudgeQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

JudgeQueue::Place JudgeQueue::enter(int64_t images) {
  const std::lock_guard lock(mutex_);
  if (inside_ + images > limit_) return nullptr;
  inside_ += images;
  return {this, [this, images](void*) {
            const std::lock_guard leaving(mutex_);
            inside_ -= images;
          }};
}

std::future<JudgeQueue::Outcome> JudgeQueue::judge(ModelPointer model, InputImage image, Deadline deadline,
                                                   Place place) {
  Job job{.model = std::move(model),
          .image = std::move(image),
          .begun = ServeClock::now(),
          .deadline = deadline,
          .place = std::move(place)};
  std::future<Outcome> outcome = job.outcome.get_future();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(job));
  }
  changed_.notify_all();
  return outcome;
}

int64_t JudgeQueue::inside() const {
  const std::lock_guard lock(mutex_);
  return inside_;
}

int64_t JudgeQueue::retry_after() const {
  const std::lock_guard lock(mutex_);
  const double seconds = std::ceil(seconds_each_ * static_cast<double>(inside_) / 2);
  return static_cast<int64_t>(std::clamp(seconds, 1.0, 60.0));
}

std::pair<int64_t, int64_t> JudgeQueue::batches() const {
  const std::lock_guard lock(mutex_);
  return {batches_, batched_};
}

std::string JudgeQueue::device_fault() const {
  const std::lock_guard lock(mutex_);
  return device_fault_;
}

ServeClock::duration JudgeQueue::wait_for_others(const ServedModel& model) const {
  const double milliseconds = batch_wait_.value_or(model.predictor.on_cpu() ? 0 : gpu_wait);
  return std::chrono::duration_cast<ServeClock::duration>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

size_t JudgeQueue::waiting_for(const ServedModel* model) const {
  return static_cast<size_t>(std::count_if(waiting_.begin(), waiting_.end(),
                                           [&](const Job& job) { return job.model.get() == model; }));
}

void JudgeQueue::drop_expired(std::unique_lock<std::mutex>& lock) {
  const Deadline now = ServeClock::now();
  std::vector<Job> expired;
  for (auto job = waiting_.begin(); job != waiting_.end();) {
    if (job->deadline > now) {
      ++job;
      continue;
    }
    expired.push_back(std::move(*job));
    job = waiting_.erase(job);
  }
  if (expired.empty()) return;
  lock.unlock();  // places are given back under it
  for (Job& job : expired) {
    job.place.reset();
    job.outcome.set_value({.prediction = {}, .error = "not judged in time", .is_fault = true});
  }
  expired.clear();
  lock.lock();
}

// Images of the model that has waited longest; none: all is done and nothing more will come.
std::vector<JudgeQueue::Job> JudgeQueue::next_batch() {
  std::unique_lock lock(mutex_);
  for (;;) {
    drop_expired(lock);
    if (waiting_.empty()) {
      if (stopping_) return {};
      if (changed_.wait_for(lock, idle, [&] { return !waiting_.empty() || stopping_; }) || !model_) continue;
      lock.unlock();
      end_model();  // which may have been replaced
      lock.lock();
      continue;
    }
    const ModelPointer model = waiting_.front().model;
    const size_t wanted = Streams::wanted(model->predictor);
    const Deadline until = waiting_.front().begun + wait_for_others(*model);
    changed_.wait_until(lock, until, [&] { return stopping_ || waiting_for(model.get()) >= wanted; });
    drop_expired(lock);  // which may be over meanwhile
    if (waiting_.empty() || waiting_.front().model != model) continue;
    std::vector<Job> batch;
    for (auto job = waiting_.begin(); job != waiting_.end() && batch.size() < wanted;) {
      if (job->model != model) {
        ++job;
        continue;
      }
      batch.push_back(std::move(*job));
      job = waiting_.erase(job);
    }
    ++batches_, batched_ += static_cast<int64_t>(batch.size());
    return batch;
  }
}

void JudgeQueue::take_outcome(const InputImage& image, const Prediction& prediction) {
  std::unique_lock lock(mutex_);
  Job job = std::move(sent_.front());
  sent_.pop_front();
  const Deadline now = ServeClock::now();
  const double seconds = std::chrono::duration<double>(now - std::max(last_outcome_, job.begun)).count();
  last_outcome_ = now;
  seconds_each_ += 0.1 * (seconds - seconds_each_);
  lock.unlock();
  job.place.reset();
  job.outcome.set_value({.prediction = prediction, .error = image.error, .is_fault = false});
}

// Of the exception that is being handled.
std::string JudgeQueue::text_of_failure() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const DeviceFault& fault) {
    const std::lock_guard lock(mutex_);
    return device_fault_ = fault.what();
  } catch (const std::exception& error) {
    return error.what();
  }
}

void JudgeQueue::fail_sent(const std::string& why) {
  std::unique_lock lock(mutex_);
  std::deque<Job> failed = std::exchange(sent_, {});
  lock.unlock();
  for (Job& job : failed) {
    job.place.reset();
    job.outcome.set_value({.prediction = {}, .error = why, .is_fault = true});
  }
}

void JudgeQueue::begin_model(const ModelPointer& model) {
  if (model_ == model) return;
  end_model();
  model_ = model;
  streams_.emplace(model->predictor, [this](const InputImage& image, const Prediction& prediction) {
    take_outcome(image, prediction);
  });
}

// Waits for what is on its way.
void JudgeQueue::end_model() {
  std::string failure;
  try {
    if (streams_) streams_->finish();
  } catch (...) {
    failure = text_of_failure();
  }
  streams_.reset();
  model_.reset();
  if (!failure.empty()) fail_sent(failure);
}

void JudgeQueue::judge_batch(std::vector<Job> batch) {
  std::vector<InputImage> images;
  const ModelPointer model = batch.front().model;
  std::string failure;
  try {
    begin_model(model);
    for (Job& job : batch) images.push_back(std::move(job.image));
    {
      const std::lock_guard lock(mutex_);
      for (Job& job : batch) sent_.push_back(std::move(job));
    }
    streams_->add(std::move(images));
    return;
  } catch (...) {
    failure = text_of_failure();
  }
  end_model();
  fail_sent(failure);
}

void JudgeQueue::run() {
  for (std::vector<Job> batch = next_batch(); !batch.empty(); batch = next_batch())
    judge_batch(std::move(batch));
  end_model();
}

}  // namespace dinomaly
