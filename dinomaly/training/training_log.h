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
// The work that steps cause in the first epoch, besides themselves: the features of images.
struct FeatureWork {
  double seconds = 0;              // spent on them so far
  int64_t computed = 0, left = 0;  // images
};

// The seconds that `steps_left` steps and the features they need will take, after `seconds` in which `steps` were
// done: both kinds of work go on as fast as they went so far.
double seconds_left(double seconds, int64_t steps, int64_t steps_left, const FeatureWork& features);

class TrainingLog {
 public:
  // `text`: the log of the iterations before, header included, where training goes on. Without a path no file is written.
  TrainingLog(const std::filesystem::path& path, int64_t iterations, int64_t batch, std::string text = "");
  // Ends the line on a terminal, so that an error stands on one of its own.
  ~TrainingLog();
  TrainingLog(const TrainingLog&) = delete;
  TrainingLog& operator=(const TrainingLog&) = delete;
  // For the time left.
  void set_features(const FeatureWork& features) { features_ = features; }
  // The next `steps` calls of add_step() are of steps that were computed together: they share their time.
  void begin_steps(int64_t steps);
  // Of a step that was skipped since its gradients are not finite: a row without loss and norm, and a line on
  // standard error. Throws InputError where it is the 20th in a row: nothing is learned any more.
  void add_skipped(int64_t step, double learning_rate);
  // Throws InputError naming the step where loss or norm is not finite.
  void add_step(int64_t step, double loss, double learning_rate, double grad_norm);
  // A line of its own between those of the iterations.
  void print_line(const std::string& line);
  // Clears the line of progress for what others print.
  void make_room();
  const std::string& text() const { return text_; }
  void save() const;
  void finish();

 private:
  void print(int64_t step, double loss, double learning_rate);

  std::filesystem::path path_;
  std::string text_;
  int64_t iterations_, batch_;
  FeatureWork features_;
  Stopwatch total_, since_step_, since_print_;
  int64_t steps_ = 0;
  int64_t skipped_in_a_row_ = 0;
  int64_t announced_ = 0;  // steps of begin_steps() that are still to come
  double rate_ = 0;        // of those steps, images per second
  double loss_sum_ = 0;    // since the last printed line
  int64_t loss_count_ = 0;
  bool terminal_, line_open_ = false;
};

}  // namespace dinomaly
