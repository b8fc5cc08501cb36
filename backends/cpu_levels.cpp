// Which level of the CPU's kernels runs.
#include "backends/cpu_levels.h"

#include <cstdlib>

#include "tensor/error.h"

namespace nabla {

namespace {

constexpr const char* variable = "DINOMALY_CPU_LEVEL";

std::string names_of_levels() {
  std::string names;
  for (const CpuLevel& level : built_cpu_levels()) {
    names.append(names.empty() ? "" : ", ").append(level.name);
  }
  return names;
}

}  // namespace

// What -march=x86-64-v3 and -v4 may use. __builtin_cpu_supports also asks whether the system saves
// the wider registers.
bool runs_cpu_level(std::string_view name) {
#ifdef __x86_64__
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (name == "avx2") return avx2;
  if (name == "avx512") return avx512;
  if (name == "avx512_bf16")
    return avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
#endif
  return name == "baseline" || name == "native";
}

ChosenCpuLevel choose_cpu_level() {
  const char* const wanted = std::getenv(variable);
  const bool forced = wanted != nullptr && *wanted != '\0';
  for (const CpuLevel& level : built_cpu_levels()) {
    if (forced ? level.name != wanted : !runs_cpu_level(level.name)) continue;
    check_input(runs_cpu_level(level.name), "{}: this processor cannot run the level '{}'", variable, wanted);
    return {level, forced};
  }
  fail_input("{}: there is no level '{}' in this program: expected {}", variable, wanted ? wanted : "",
             names_of_levels());
}

std::string cpu_level() { return std::string(choose_cpu_level().level.name); }

Kernels& cpu_kernels() {
  static Kernels& kernels = []() -> Kernels& {
    const ChosenCpuLevel chosen = choose_cpu_level();
    return *chosen.level.make(chosen.forced);
  }();
  return kernels;
}

}  // namespace nabla
