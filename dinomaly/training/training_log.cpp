#include "dinomaly/training/training_log.h"

#include <unistd.h>

#include <cstdio>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/progress.h"
#include "tensor/error.h"

namespace dinomaly {

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

void TrainingLog::add_step(int64_t step, double loss, double learning_rate, double grad_norm) {
  check(loss == loss,
        "training: the loss of iteration {} is not a number; --set linear_attention_eps=1e-6 helps if "
        "a denominator of the linear attention was zero",
        step);
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
             format_duration(seconds / done * static_cast<double>(iterations_ - step - 1)),
             terminal_ ? "  " + progress_bar(step + 1, iterations_) + "\x1b[K" : "\n");
  std::fflush(stdout);
  since_print_ = {};
  loss_sum_ = 0;
  loss_count_ = 0;
}

void TrainingLog::print_line(const std::string& line) const {
  fmt::print("{}{}\n", terminal_ ? "\r\x1b[K" : "", line);
}

void TrainingLog::save() const { write_file(path_, text_); }

void TrainingLog::finish() const {
  if (terminal_ && steps_ > 0) fmt::print("\n");
  save();
}

}  // namespace dinomaly
