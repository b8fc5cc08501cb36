// Which level of the CPU's kernels runs, and what comes out of one. CTest runs this program for each level.
#include "backends/cpu_levels.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "tensor/error.h"
#include "tests/support.h"

namespace nabla {

namespace {

// Sets DINOMALY_CPU_LEVEL while it lives.
class LevelVariable {
 public:
  explicit LevelVariable(const std::string& value) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~LevelVariable() { before_ ? setenv(name, before_->c_str(), 1) : unsetenv(name); }
  LevelVariable(const LevelVariable&) = delete;
  LevelVariable& operator=(const LevelVariable&) = delete;

 private:
  static constexpr const char* name = "DINOMALY_CPU_LEVEL";
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("cpu levels: the best that runs here, unless the variable names another one") {
  std::optional<std::string> best;
  for (const CpuLevel& level : built_cpu_levels()) {
    const LevelVariable variable{std::string(level.name)};
    if (!runs_cpu_level(level.name)) {
      const std::string fault = input_error([] { cpu_level(); });
      CHECK_MESSAGE(one_line_with(fault, "DINOMALY_CPU_LEVEL: this processor cannot run"), fault);
      continue;
    }
    if (!best) best = level.name;
    CHECK(cpu_level() == level.name);
    CHECK(choose_cpu_level().forced);
  }
  const LevelVariable variable("");
  CHECK(cpu_level() == best);
  CHECK_FALSE(choose_cpu_level().forced);
}

TEST_CASE("cpu levels: an unknown one is one line that lists those there are") {
  const LevelVariable variable("sse9");
  const std::string fault = input_error([] { cpu_level(); });
  CHECK_MESSAGE(one_line_with(fault, "DINOMALY_CPU_LEVEL: there is no level 'sse9' in this program"), fault);
  for (const CpuLevel& level : built_cpu_levels()) CHECK(fault.find(level.name) != std::string::npos);
}

TEST_CASE("cpu levels: an error of a kernel is caught outside of its level") {
  const Tensor a = Tensor::zeros({1, 2, 2}, Dtype::i64), out = Tensor::zeros({1, 2, 2}, Dtype::i64);
  CHECK_THROWS_AS(kernels_for(a).matmul(a, false, a, false, out), Error);
}

}  // namespace nabla
