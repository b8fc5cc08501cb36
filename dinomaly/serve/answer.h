// What a request asks of its images, and what it gets.
#pragma once

#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

#include "dinomaly/report/prediction_output.h"
#include "dinomaly/serve/judge_queue.h"
#include "dinomaly/serve/metrics.h"
#include "dinomaly/serve/models.h"

namespace dinomaly {

// A file as it was sent. Its name is text, and never that of a file here.
struct Upload {
  std::string name, bytes;
};

struct Wanted {
  bool overlay = false;
  MapFormat map = MapFormat::none;
};

struct Answer {
  Verdict verdict;           // with an error where the image could not be read or judged
  std::string overlay, map;  // the files' bytes; empty: not asked for, or not judged
};

// A request that has no answer: HTTP status and why.
class Refusal : public std::runtime_error {
 public:
  Refusal(int http_status, const std::string& why) : std::runtime_error(why), status(http_status) {}
  int status;
};

// A share of the memory that all requests have together, for what they send and what they get.
class ByteBudget {
 public:
  using Share = std::shared_ptr<void>;
  explicit ByteBudget(int64_t bytes) : left_(bytes) {}
  Share take(int64_t bytes);  // null: so much is not left. The budget must outlive it

 private:
  std::mutex mutex_;
  int64_t left_;
};

// Decodes, has judged, and encodes what is wanted; each image's work but the model's is done on the calling thread. Safe to
// call from several threads.
class RequestJudge {
 public:
  // At most max_pixels of an image. `queue` and `metrics` must outlive it.
  RequestJudge(JudgeQueue& queue, ServeMetrics& metrics, int64_t max_pixels);

  // In the order of `uploads`, whose bytes are kept. `place`: in the queue, for all of them. Each overlay and map takes its
  // share of `budget` first, added to `shares`. Throws Refusal where the deadline passes or a budget is used up, and
  // std::runtime_error where the model fails.
  std::vector<Answer> judge(const ModelPointer& model, const std::vector<Upload>& uploads, Wanted wanted,
                            Deadline deadline, const JudgeQueue::Place& place, ByteBudget& budget,
                            std::vector<ByteBudget::Share>& shares);
  // Throws InputError unless the bytes are an image that `model` can judge, and Refusal as judge().
  void check_image(const ServedModel& model, const Upload& upload, Deadline deadline);

 private:
  Image decode(const ServedModel& model, const Upload& upload) const;
  InputImage prepare(const ServedModel& model, const Upload& upload) const;
  void encode(const ServedModel& model, const Upload& upload, const Prediction& prediction, Wanted wanted,
              Answer& answer) const;

  JudgeQueue& queue_;
  ServeMetrics& metrics_;
  int64_t max_pixels_;
  std::counting_semaphore<64> hands_;  // so many images are decoded or encoded at a time
};

// A verdict as predict prints it with --json, its model, and overlay and map in base64 where they were asked for.
nlohmann::json to_json(const Answer& answer, const std::string& model);

}  // namespace dinomaly
