// What the system says about this process.
#pragma once

#include <chrono>

namespace dinomaly {

// The largest resident set so far, in MB (10^6 bytes); 0 where /proc does not tell.
double peak_rss_mb();
// Lets peak_rss_mb() start anew from what is resident now; does nothing where the system does not offer it.
void reset_peak_rss();

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace dinomaly
