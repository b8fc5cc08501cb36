#include "dinomaly/cli/stop_signal.h"

#include <atomic>
#include <csignal>
#include <thread>

namespace dinomaly {

namespace {

std::atomic<bool> listening = false;
std::atomic<int> came = 0;

// What it would have done to a program that does not know of it: ends it, or nothing where the caller ignores it.
void deliver(int signal) {
  sigset_t only;
  sigemptyset(&only), sigaddset(&only, signal);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal);
  pthread_sigmask(SIG_BLOCK, &only, nullptr);
}

}  // namespace

void StopSignal::start_waiting() {
  sigset_t both;
  sigemptyset(&both), sigaddset(&both, SIGINT), sigaddset(&both, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &both, nullptr);
  std::thread([both] {
    for (int signal = 0; sigwait(&both, &signal) == 0;) {
      if (!note(signal)) deliver(signal);
    }
  }).detach();
}

StopSignal::StopSignal() {
  came = 0;
  listening = true;
}

StopSignal::~StopSignal() {
  listening = false;
  came = 0;
}

int StopSignal::number() { return came; }

bool StopSignal::note(int signal) {
  int none = 0;
  return listening && came.compare_exchange_strong(none, signal);
}

}  // namespace dinomaly
