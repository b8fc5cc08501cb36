// Whether ops are recorded. On by default, per thread.
#pragma once

namespace nabla {

class GradMode {
 public:
  static bool enabled();
  static void set(bool on);
};

// No op is recorded while one of these lives.
class NoGrad {
 public:
  NoGrad() : before_(GradMode::enabled()) { GradMode::set(false); }
  ~NoGrad() { GradMode::set(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

// Ops are recorded while one of these lives, also inside a NoGrad.
class EnableGrad {
 public:
  EnableGrad() : before_(GradMode::enabled()) { GradMode::set(true); }
  ~EnableGrad() { GradMode::set(before_); }
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

// Runs `function` without recording and returns what it returns.
template <class Function>
decltype(auto) no_grad(Function&& function) {
  NoGrad guard;
  return function();
}

}  // namespace nabla
