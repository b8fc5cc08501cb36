// SIGINT and SIGTERM, asked about instead of dying of them.
#pragma once

#include <csignal>

namespace dinomaly {

// While it lives, the first SIGINT or SIGTERM is noted; a second one of the same kind ends the
// program as usual.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  static int number();  // of the last one; 0: none came, or nobody listens

 private:
  struct sigaction interrupt_, terminate_;  // what was there before
};

}  // namespace dinomaly
