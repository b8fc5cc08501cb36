#include "tests/backends/cuda_emulator/fiber.h"

#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

namespace {

Fiber* entering = nullptr;

// AddressSanitizer must know which stack is in use. `save`: null for a stack that is left for good.
void leave_stack([[maybe_unused]] void** save, [[maybe_unused]] const void* next,
                 [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(save, next, bytes);
#endif
}
void arrive_at_stack([[maybe_unused]] void* saved, [[maybe_unused]] const void** before,
                     [[maybe_unused]] size_t* bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(saved, before, bytes);
#endif
}

}  // namespace

Fiber::Fiber(void (*run)()) : run_(run), stack_(new std::byte[stack_bytes]) {}

void Fiber::enter() {
  Fiber* self = entering;
  arrive_at_stack(nullptr, &self->outer_stack_, &self->outer_bytes_);
  self->run_();
}

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
  void* fake_stack = nullptr;
  leave_stack(&fake_stack, stack_.get(), stack_bytes);
  if (_setjmp(outside_) == 0) jump();
  arrive_at_stack(fake_stack, nullptr, nullptr);
}

void Fiber::yield() {
  leave_stack(&fake_stack_, outer_stack_, outer_bytes_);
  if (_setjmp(inside_) == 0) std::longjmp(outside_, 1);
  arrive_at_stack(fake_stack_, &outer_stack_, &outer_bytes_);
}

}  // namespace emulator
