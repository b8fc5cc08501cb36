#include "dinomaly/cli/stop_signal.h"

namespace dinomaly {

namespace {
volatile std::sig_atomic_t came = 0;  // a handler can reach nothing else
void note(int signal) { came = signal; }
}  // namespace

StopSignal::StopSignal() {
  came = 0;
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &interrupt_);
  sigaction(SIGTERM, &action, &terminate_);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &interrupt_, nullptr);
  sigaction(SIGTERM, &terminate_, nullptr);
  came = 0;
}

int StopSignal::number() { return came; }

}  // namespace dinomaly
