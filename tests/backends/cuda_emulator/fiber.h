// A function on a stack of its own, left in the middle and continued later.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <memory>

namespace emulator {

class Fiber {
 public:
  // `run` begins at the first resume() and never returns.
  explicit Fiber(void (*run)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the function until it calls yield().
  void resume();
  // Within the function: back to who called resume().
  void yield();

 private:
  static constexpr size_t stack_bytes = size_t{64} << 10;

  static void enter();
  void jump();

  void (*run_)();
  std::unique_ptr<std::byte[]> stack_;
  bool started_ = false;
  std::jmp_buf inside_, outside_;
};

}  // namespace emulator
