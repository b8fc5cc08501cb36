// A command's progress on standard error: on a terminal one line that is rewritten, in a log a plain line
// every ten seconds.
#pragma once

#include <cstdint>
#include <string>

#include "dinomaly/base/stopwatch.h"

namespace dinomaly {

// "[#####...............]", empty for a total of 0.
std::string progress_bar(int64_t done, int64_t total);

class Progress {
 public:
  // `what` names the work ("predict"); `total` is the number of images, 0 if unknown. `interval`: seconds
  // between lines; 0: a fifth on a terminal, ten elsewhere.
  explicit Progress(std::string what, int64_t total = 0, double interval = 0);
  // Ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t images = 1);
  // Clears the line to make room for another message.
  void make_room();

 private:
  void print();

  std::string what_;
  int64_t total_, done_ = 0;
  double interval_;
  Stopwatch watch_, since_print_;
  bool terminal_, line_open_ = false;
};

}  // namespace dinomaly
