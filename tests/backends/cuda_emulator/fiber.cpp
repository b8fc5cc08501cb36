#include "tests/backends/cuda_emulator/fiber.h"

#include <ucontext.h>

namespace emulator {

namespace {

Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber(void (*run)()) : run_(run), stack_(new std::byte[stack_bytes]) {}

void Fiber::enter() { entering->run_(); }

void Fiber::jump() {
  if (started_) std::longjmp(inside_, 1);
  started_ = true;
  entering = this;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = stack_.get();
  context.uc_stack.ss_size = stack_bytes;
  context.uc_link = nullptr;
  makecontext(&context, &Fiber::enter, 0);
  setcontext(&context);
}

void Fiber::resume() {
  if (_setjmp(outside_) == 0) jump();
}

void Fiber::yield() {
  if (_setjmp(inside_) == 0) std::longjmp(outside_, 1);
}

}  // namespace emulator
