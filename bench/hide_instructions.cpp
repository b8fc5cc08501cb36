// Loaded before a program (LD_PRELOAD), it makes the processor look older: the program's CPUID instructions answer that there
// is no more than HELD_TO, avx2 or avx2_vnni. Libraries' own switches reach only a part of them: with ONEDNN_MAX_CPU_ISA=AVX2
// OpenVINO's products of f32, which are not oneDNN's, still used AVX-512, and an image took up to a quarter less time.
//
// The system can let CPUID fail (arch_prctl, "CPUID faulting"), in each thread and those it starts. Then the handler of
// the signal asks the processor itself, takes away what is to be hidden, and goes on behind the instruction. A program's own
// handler of that signal is kept for true faults. What the C library and others that a program is linked with choose while they
// are loaded, before this one, stays.
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

namespace {

constexpr int arch_set_cpuid = 0x1012;

bool hides_vnni = true;
struct sigaction action_of_program = {};

// The C library's sigaction(), and whether ours stands before it.
using SetAction = int (*)(int, const struct sigaction*, struct sigaction*);
SetAction set_action = nullptr;
bool started = false;

void find_set_action() {
  if (set_action == nullptr) set_action = reinterpret_cast<SetAction>(dlsym(RTLD_NEXT, "sigaction"));
  if (set_action == nullptr) _exit(2);
}

long let_cpuid_work(bool works) { return syscall(SYS_arch_prctl, arch_set_cpuid, works ? 1L : 0L); }

constexpr uint32_t bits(std::initializer_list<int> numbers) {
  uint32_t mask = 0;
  for (const int number : numbers) mask |= 1U << number;
  return mask;
}

// CPUID's answer: eax, ebx, ecx, edx.
using Answer = std::array<uint32_t, 4>;

// AVX-512 and what came with it or after it, AMX, AVX10 and, at avx2, AVX-VNNI.
void hide(uint32_t leaf, uint32_t subleaf, Answer& answer) {
  if (leaf == 7 && subleaf == 0) {
    answer[1] &= ~bits({16, 17, 21, 26, 27, 28, 30, 31});
    answer[2] &= ~bits({1, 6, 11, 12, 14});
    answer[3] &= ~bits({2, 3, 8, 22, 23, 24, 25});
  } else if (leaf == 7 && subleaf == 1) {
    answer[0] &= ~bits({5, 21, 23});
    if (hides_vnni) answer[0] &= ~bits({4});
    answer[3] &= ~bits({4, 5, 8, 10, 19, 21});
  } else if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) {  // details of AMX and AVX10
    answer = {};
  }
}

void answer_cpuid(greg_t* registers) {
  const auto leaf = static_cast<uint32_t>(registers[REG_RAX]),
             subleaf = static_cast<uint32_t>(registers[REG_RCX]);
  Answer answer;
  let_cpuid_work(true);
  __cpuid_count(leaf, subleaf, answer[0], answer[1], answer[2], answer[3]);
  let_cpuid_work(false);
  hide(leaf, subleaf, answer);
  registers[REG_RAX] = answer[0], registers[REG_RBX] = answer[1];
  registers[REG_RCX] = answer[2], registers[REG_RDX] = answer[3];
  registers[REG_RIP] += 2;
}

void handle(int number, siginfo_t* info, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* const instruction = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  const bool sent = info->si_code <= 0;  // by a process
  if (!sent && instruction[0] == 0x0f && instruction[1] == 0xa2) return answer_cpuid(registers);
  set_action(SIGSEGV, &action_of_program, nullptr);  // a true fault comes again
  if (sent) raise(number);
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
  find_set_action();
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  set_action(SIGSEGV, &action, &action_of_program);
  started = true;
  if (let_cpuid_work(false) != 0) refuse("this processor or system cannot let CPUID fail");
}

}  // namespace

// The program's handlers are set by these: one for SIGSEGV would take the place of ours.
extern "C" [[gnu::visibility("default")]] int sigaction(int number, const struct sigaction* wanted,
                                                        struct sigaction* before) noexcept {
  find_set_action();
  if (number != SIGSEGV || !started) return set_action(number, wanted, before);
  if (before != nullptr) *before = action_of_program;
  if (wanted != nullptr) action_of_program = *wanted;
  return 0;
}

extern "C" [[gnu::visibility("default")]] sighandler_t signal(int number, sighandler_t handler) noexcept {
  struct sigaction wanted = {}, before = {};
  wanted.sa_handler = handler;
  wanted.sa_flags = SA_RESTART;
  return sigaction(number, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}
