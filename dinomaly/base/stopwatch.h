// Elapsed time, measured and as text.
#pragma once

#include <chrono>
#include <string>

namespace dinomaly {

// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(clock::now() - start_).count(); }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point start_ = clock::now();
};

// "1:02:03" or "4:05".
std::string format_duration(double seconds);

}  // namespace dinomaly
