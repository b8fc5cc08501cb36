#include "bench/process.h"

#include <fstream>
#include <string>

namespace dinomaly {

// Not getrusage(): its peak survives exec(), so a child would start with that of the program that forked it.
double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024 / 1e6;
  }
  return 0;
}

void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace dinomaly
