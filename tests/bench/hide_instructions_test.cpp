// What a program learns of its processor once bench/hide_instructions.cpp is loaded.
#include <doctest/doctest.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/support.h"

namespace {

constexpr int arch_set_cpuid = 0x1012;
constexpr unsigned avx2 = 1, avx512 = 2, amx = 4, avx_vnni = 8;

unsigned instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0, more = 0;
  __cpuid_count(7, 0, a, b, c, d);
  __cpuid_count(7, 1, more, a, a, a);
  return (b >> 5 & 1) * avx2 | (b >> 16 & 1) * avx512 | (d >> 24 & 1) * amx | (more >> 4 & 1) * avx_vnni;
}

// What `read` returns in a process that has loaded the library; 100 where it was not loaded.
template <class Read>
int in_process(const std::filesystem::path& library, const char* held_to, const Read& read) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("HELD_TO", held_to, 1);
    signal(SIGSEGV, SIG_DFL);  // not the test program's
    if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0 || dlopen(library.c_str(), RTLD_NOW) == nullptr) _exit(100);
    _exit(static_cast<int>(read()));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("instructions beyond a level are hidden from a program and its threads") {
  const std::filesystem::path library = std::string(DINOMALY_BINARY_DIR) + "/bin/hide_instructions.so";
  if (!std::filesystem::exists(library)) return skip("bench/hide_instructions.cpp is not built here");
  CHECK(in_process(library, "avx512", instructions) == 2);
  if (syscall(SYS_arch_prctl, arch_set_cpuid, 1L) != 0)
    return skip("this processor or system cannot let CPUID fail");
  const unsigned all = instructions();
  CHECK(in_process(library, "avx2", instructions) == static_cast<int>(all & avx2));
  CHECK(in_process(library, "avx2_vnni", instructions) == static_cast<int>(all & (avx2 | avx_vnni)));
  const auto in_thread = [] {
    unsigned found = 99;
    std::thread([&] { found = instructions(); }).join();
    return found;
  };
  CHECK(in_process(library, "avx2", in_thread) == static_cast<int>(all & avx2));
}

TEST_CASE("a program from which instructions are hidden still ends by a true fault") {
  const std::filesystem::path library = std::string(DINOMALY_BINARY_DIR) + "/bin/hide_instructions.so";
  if (!std::filesystem::exists(library)) return skip("bench/hide_instructions.cpp is not built here");
  if (syscall(SYS_arch_prctl, arch_set_cpuid, 1L) != 0)
    return skip("this processor or system cannot let CPUID fail");
  const auto fault = [] {
    volatile int* const nowhere = nullptr;
    return static_cast<unsigned>(*nowhere);
  };
  CHECK(in_process(library, "avx2", fault) == -1);
}

#endif
