// What the system says about this process.
#pragma once

#include <chrono>

namespace dinomaly {

// The largest resident set so far, in MB (10^6 bytes); 0 if /proc does not say.
double peak_rss_mb();
// Restarts peak_rss_mb() from what is resident now; does nothing if the system does not support it.
void reset_peak_rss();

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace dinomaly
