// What is reported while training runs: a line of progress and a CSV file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "dinomaly/base/stopwatch.h"

namespace dinomaly {

// PATH gets a row per iteration (iteration, loss, lr, grad_norm, images_per_second), whole whenever save() or
// finish() is called. Standard output gets loss, rate and time left: one line that is rewritten on a
// terminal, a line now and then elsewhere.
class TrainingLog {
 public:
  // `text`: the log of the iterations before, header included, where training goes on.
  TrainingLog(const std::filesystem::path& path, int64_t iterations, int64_t batch, std::string text = "");
  // The next `steps` calls of add_step() are of steps that were computed together: they share their time.
  void begin_steps(int64_t steps);
  // Throws Error where the loss is not a number.
  void add_step(int64_t step, double loss, double learning_rate, double grad_norm);
  // A line of its own between those of the iterations.
  void print_line(const std::string& line) const;
  const std::string& text() const { return text_; }
  void save() const;
  void finish() const;

 private:
  void print(int64_t step, double loss, double learning_rate);

  std::filesystem::path path_;
  std::string text_;
  int64_t iterations_, batch_;
  Stopwatch total_, since_step_, since_print_;
  int64_t steps_ = 0;
  int64_t announced_ = 0;  // steps of begin_steps() that are still to come
  double rate_ = 0;        // of those steps, images per second
  double loss_sum_ = 0;    // since the last printed line
  int64_t loss_count_ = 0;
  bool terminal_;
};

}  // namespace dinomaly
