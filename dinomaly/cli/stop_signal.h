// SIGINT and SIGTERM, asked about instead of dying of them.
#pragma once

namespace dinomaly {

// While it lives, the first SIGINT or SIGTERM is noted; a second one ends the program as usual.
//
// There is no signal handler. oneDNN's matrix products use the stack pointer as an ordinary register, and the system
// writes a handler's frame to where it points: into the heap. So every thread blocks the two signals, and one that does
// nothing else waits for them.
class StopSignal {
 public:
  // Blocks the signals and starts the thread that waits for them. To be called by main(), before there is any other
  // thread: new ones inherit what is blocked.
  static void start_waiting();

  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  static int number();  // of the signal that came; 0: none, or nobody listens
  // Takes the signal; false if nobody listens or one has come already.
  static bool note(int signal);
};

}  // namespace dinomaly
