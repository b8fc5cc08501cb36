// No signal handler of the calling program runs on a thread that computes.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace dinomaly {

// While it lives, signals that come from outside wait until this thread's mask is what it was before; another thread that
// takes them gets those of the process. Threads that are started meanwhile, as those of the first parallel loop are, never take any.
//
// oneDNN's matrix products use the stack pointer as an ordinary register, and the system writes a handler's frame to where it
// points: into the heap.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigfillset(&held);
    // A fault is delivered at once: held, it would end the program without a handler.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
      sigdelset(&held, fault);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // Delivers what came so far. Not while anything computes.
  void let_through() {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    hold();
  }

 private:
  void hold() {
    sigset_t held;
    sigfillset(&held);
    // A fault is delivered at once: held, it would end the program without a handler.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
      sigdelset(&held, fault);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }

  sigset_t before_;
};

}  // namespace dinomaly
