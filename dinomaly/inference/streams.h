// Several images on their way through the model at a time, and their predictions in the images' order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/predict.h"

namespace dinomaly {

// Threads that share an image wait for each other at the end of each loop; those that have images of their own never do. So
// where images are waiting, two at least and enough for a quarter of the threads, each thread takes one (a stream), on the
// same weights. An image that comes alone is shared by all threads, which takes less time for it. Both give the same bits.
class Streams {
 public:
  // `sink` gets each image with its prediction, in the order of add(), on a thread of its own.
  using Sink = std::function<void(const InputImage&, const Prediction&)>;
  Streams(const Predictor& predictor, Sink sink);
  // Waits until the sink has got what was added.
  ~Streams();
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // So many images are worth waiting for at a time: of a CPU one for each stream, of a GPU a batch.
  static size_t wanted(const Predictor& predictor);
  // Images that are ready. Waits while too many are under way: more than there are streams, if they take more than
  // most_waiting_bytes, or twice as many; of those read in strips, two. Rethrows what the model or the sink has thrown.
  void add(std::vector<InputImage> images);
  // Waits until the sink has got what was added, and rethrows.
  void finish();

 private:
  // What goes through the model together: one image, on a GPU a batch.
  struct Part {
    std::vector<InputImage> images;
    std::vector<Prediction> predictions = {};
    std::exception_ptr error = {};
    size_t bytes = 0;
    bool in_stream = false, done = false;
  };

  bool has_room(const Part& part) const;
  void add_part(std::vector<InputImage> images, bool in_stream);
  void compute(Part& part);
  void run_stream(std::stop_token stop);
  void run_sink(std::stop_token stop);
  void hand_out(Part& part) const;

  const Predictor& predictor_;
  Sink sink_;
  size_t count_;  // of streams
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::shared_ptr<Part>> parts_;    // that the sink has not got, in order
  std::deque<std::shared_ptr<Part>> waiting_;  // for a stream
  size_t in_streams_ = 0;                      // waiting or being computed there
  size_t bytes_ = 0;                           // of parts_
  std::exception_ptr failure_;
  std::vector<std::jthread> threads_;  // the last members: what they use exists before them
  std::jthread sink_thread_;
};

}  // namespace dinomaly
