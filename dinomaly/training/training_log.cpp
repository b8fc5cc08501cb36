#include "dinomaly/training/training_log.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/training/step_numbers.h"
#include "tensor/error.h"

namespace dinomaly {

double seconds_left(double seconds, int64_t steps, int64_t steps_left, const FeatureWork& features) {
  const double per_step = (seconds - features.seconds) / static_cast<double>(std::max<int64_t>(steps, 1));
  const double per_image = features.seconds / static_cast<double>(std::max<int64_t>(features.computed, 1));
  return std::max(per_step, 0.0) * static_cast<double>(steps_left) +
         per_image * static_cast<double>(features.left);
}

TrainingLog::TrainingLog(const std::filesystem::path& path, int64_t iterations, int64_t batch,
                         std::string text)
    : path_(path),
      text_(std::move(text)),
      iterations_(iterations),
      batch_(batch),
      terminal_(isatty(STDOUT_FILENO) == 1) {
  if (text_.empty()) text_ = "iteration,loss,lr,grad_norm,images_per_second\n";
}

void TrainingLog::begin_steps(int64_t steps) {
  if (steps == 0) return;
  rate_ = static_cast<double>(batch_ * steps) / since_step_.seconds();
  since_step_ = {};
  announced_ = steps;
}

void TrainingLog::add_skipped(int64_t step, double learning_rate) {
  constexpr int64_t most_in_a_row = 20;
  check_input(
      ++skipped_in_a_row_ < most_in_a_row,
      "training diverged: the gradients of the last {} steps, up to iteration {}, are not finite; a lower "
      "learning_rate helps",
      most_in_a_row, step);
  if (announced_ == 0) begin_steps(1);
  --announced_;
  text_ += fmt::format("{},,{:.9g},,{:.2f}\n", step, learning_rate, rate_);
  ++steps_;
  make_room();
  print_error("iteration {}: its gradients are not finite; the step is skipped\n", step);
}

void TrainingLog::add_step(int64_t step, double loss, double learning_rate, double grad_norm) {
  check_finite({step, loss, learning_rate, grad_norm});
  skipped_in_a_row_ = 0;
  if (announced_ == 0) begin_steps(1);
  --announced_;
  text_ += fmt::format("{},{:.9g},{:.9g},{:.9g},{:.2f}\n", step, loss, learning_rate, grad_norm, rate_);
  ++steps_;
  loss_sum_ += loss;
  ++loss_count_;
  const bool last = step + 1 == iterations_;
  if (last || since_print_.seconds() >= (terminal_ ? 0.5 : 10.0))
    print(step, loss_sum_ / static_cast<double>(loss_count_), learning_rate);
}

void TrainingLog::print(int64_t step, double loss, double learning_rate) {
  const double done = static_cast<double>(steps_), seconds = total_.seconds();
  fmt::print("{}iteration {}/{}  loss {:.4f}  lr {:.2e}  {:.1f} images/s  {} left{}", terminal_ ? "\r" : "",
             step + 1, iterations_, loss, learning_rate, done * static_cast<double>(batch_) / seconds,
             format_duration(seconds_left(seconds, steps_, iterations_ - step - 1, features_)),
             terminal_ ? "  " + progress_bar(step + 1, iterations_) + "\x1b[K" : "\n");
  std::fflush(stdout);
  line_open_ = terminal_;
  since_print_ = {};
  loss_sum_ = 0;
  loss_count_ = 0;
}

void TrainingLog::print_line(const std::string& line) {
  make_room();
  fmt::print("{}\n", line);
}

void TrainingLog::make_room() {
  if (line_open_) fmt::print("\r\x1b[K");
  std::fflush(stdout);
  line_open_ = false;
}

void TrainingLog::save() const {
  if (!path_.empty()) write_file(path_, text_);
}

void TrainingLog::finish() {
  if (line_open_) fmt::print("\n");
  line_open_ = false;
  save();
}

TrainingLog::~TrainingLog() {
  if (line_open_) std::fputc('\n', stdout);  // which throws nothing
}

}  // namespace dinomaly
