// Loaded before a program (LD_PRELOAD), it makes the processor look older: the program's CPUID instructions answer that there
// is no more than HELD_TO, avx2 or avx2_vnni. Libraries' own switches reach only a part of them: with ONEDNN_MAX_CPU_ISA=AVX2
// OpenVINO's products of f32, which are not oneDNN's, still used AVX-512 and took two thirds of the time.
//
// The system can let CPUID fail (arch_prctl, "CPUID faulting"), in each thread and those it starts. Then the handler of
// the signal asks the processor itself, takes away what is to be hidden, and goes on behind the instruction. What the C
// library chose before any program's code runs, for copies of memory, stays.
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr int arch_set_cpuid = 0x1012;

bool hides_vnni = true;
struct sigaction earlier_action;

long let_cpuid_work(bool works) { return syscall(SYS_arch_prctl, arch_set_cpuid, works ? 1L : 0L); }

constexpr uint32_t bits(std::initializer_list<int> numbers) {
  uint32_t mask = 0;
  for (const int number : numbers) mask |= 1U << number;
  return mask;
}

// CPUID's answer: eax, ebx, ecx, edx.
using Answer = std::array<uint32_t, 4>;

// Of leaf 7: AVX-512 and what came with it or after it, AMX, AVX-VNNI and AVX10.
void hide(uint32_t subleaf, Answer& answer) {
  if (subleaf == 0) {
    answer[1] &= ~bits({16, 17, 21, 26, 27, 28, 30, 31});
    answer[2] &= ~bits({1, 6, 8, 9, 10, 11, 12, 14});
    answer[3] &= ~bits({2, 3, 8, 22, 23, 24, 25});
  } else if (subleaf == 1) {
    answer[0] &= ~bits({5, 21, 23});
    if (hides_vnni) answer[0] &= ~bits({4});
    answer[3] &= ~bits({4, 5, 10, 19});
  }
}

void answer_cpuid(greg_t* registers) {
  const auto leaf = static_cast<uint32_t>(registers[REG_RAX]),
             subleaf = static_cast<uint32_t>(registers[REG_RCX]);
  Answer answer;
  let_cpuid_work(true);
  __cpuid_count(leaf, subleaf, answer[0], answer[1], answer[2], answer[3]);
  let_cpuid_work(false);
  if (leaf == 7) hide(subleaf, answer);
  registers[REG_RAX] = answer[0], registers[REG_RBX] = answer[1];
  registers[REG_RCX] = answer[2], registers[REG_RDX] = answer[3];
  registers[REG_RIP] += 2;
}

void handle(int, siginfo_t*, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* const instruction = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (instruction[0] == 0x0f && instruction[1] == 0xa2) return answer_cpuid(registers);
  sigaction(SIGSEGV, &earlier_action, nullptr);  // a true fault: it comes again
}

[[noreturn]] void refuse(const char* reason) {
  std::fprintf(stderr, "hide_instructions: %s\n", reason);
  _exit(2);
}

[[gnu::constructor]] void start() {
  const char* const held_to = std::getenv("HELD_TO");
  const std::string_view level = held_to == nullptr ? "" : held_to;
  if (level != "avx2" && level != "avx2_vnni") refuse("HELD_TO is neither avx2 nor avx2_vnni");
  hides_vnni = level == "avx2";
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &earlier_action);
  if (let_cpuid_work(false) != 0) refuse("this processor or system cannot let CPUID fail");
}

}  // namespace
