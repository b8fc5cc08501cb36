// The CPU's kernels are compiled for several levels of processors; cmake/cpu_levels.cmake says which and how.
#pragma once

#include <span>
#include <string_view>

#include "tensor/kernels.h"

namespace nabla {

struct CpuLevel {
  std::string_view name;
  // New kernels of this level. `forced`: oneDNN, which asks the processor itself, keeps to the level.
  Kernels* (*make)(bool forced);
};

// Those in this program, the best first.
std::span<const CpuLevel> built_cpu_levels();

// Whether this processor, and the system on it, can run the level of that name.
bool runs_cpu_level(std::string_view name);

// The level whose kernels kernels_for(cpu) gives: DINOMALY_CPU_LEVEL, or the best that runs here. `forced` is
// what make() wants to be told. Throws InputError where that variable names a level that does not run.
struct ChosenCpuLevel {
  CpuLevel level;
  bool forced;
};
ChosenCpuLevel choose_cpu_level();

// The kernels of that level, and of no other: chosen once. Never destroyed: tensors in static variables may give their
// memory back after main() has ended.
Kernels& cpu_kernels();

}  // namespace nabla
