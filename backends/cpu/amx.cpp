#include "backends/cpu/amx.h"

#ifdef __AVX512BF16__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace nabla {

#ifdef __AVX512BF16__
namespace {

bool processor_has_amx() {
  constexpr unsigned products_of_bf16 = 1U << 22, tiles = 1U << 24, products_of_int8 = 1U << 25;
  constexpr unsigned all = products_of_bf16 | tiles | products_of_int8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & all) == all;
}

// The tiles are larger than what a signal handler's stack has to hold otherwise, so Linux wants to be asked for them
// (Documentation/arch/x86/xstate.rst). It refuses where it does not save them.
bool system_gives_tiles() {
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
}

}  // namespace

bool has_amx() {
  static const bool has = processor_has_amx() && system_gives_tiles();
  return has;
}
#else
bool has_amx() { return false; }
#endif

}  // namespace nabla
