// The fuzzer: runs the target that $DINOMALY_FUZZ_TARGET names. scripts/fuzz.sh drives it.
#include <cstdlib>
#include <stdexcept>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* name = std::getenv("DINOMALY_FUZZ_TARGET");
  static const auto& target = dinomaly::fuzz::target_named(name != nullptr ? name : "");
  target.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
