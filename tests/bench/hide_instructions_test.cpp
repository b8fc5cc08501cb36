// What a program learns of its processor once bench/hide_instructions.cpp is loaded.
#include <doctest/doctest.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/support.h"

namespace {

constexpr unsigned avx2 = 1, avx512 = 2, amx = 4, avx_vnni = 8;

unsigned instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0, more = 0, none = 0;
  __cpuid_count(7, 0, a, b, c, d);
  __cpuid_count(7, 1, more, none, none, none);
  return (b >> 5 & 1) * avx2 | (b >> 16 & 1) * avx512 | (d >> 24 & 1) * amx | (more >> 4 & 1) * avx_vnni;
}

const std::filesystem::path library = std::string(DINOMALY_BINARY_DIR) + "/bin/hide_instructions.so";

// Why it cannot be tried here; empty if it can.
std::string obstacle() {
  constexpr int arch_set_cpuid = 0x1012;
  if (!std::filesystem::exists(library)) return "bench/hide_instructions.cpp is not built here";
  if (syscall(SYS_arch_prctl, arch_set_cpuid, 1L) != 0)
    return "this processor or system cannot let CPUID fail";
  return "";
}

// How a test case below, which expects EXPECTED, ends in a program for which the library is loaded.
int exit_status(const char* test_case, const std::string& held_to, unsigned expected) {
  const std::string command = fmt::format(
      "HELD_TO={} EXPECTED={} LD_PRELOAD={} {}/bin/test_bench --no-skip --no-version -tc='{}' >/dev/null "
      "2>&1",
      held_to, expected, library.string(), DINOMALY_BINARY_DIR, test_case);
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

unsigned expected() {
  const char* const value = std::getenv("EXPECTED");
  return value == nullptr ? 99 : static_cast<unsigned>(std::atoi(value));
}

void handle(int) {}

}  // namespace

TEST_CASE("inside: the expected instructions are there" * doctest::skip()) {
  CHECK(instructions() == expected());
  unsigned in_thread = 99;
  std::thread([&] { in_thread = instructions(); }).join();
  CHECK(in_thread == expected());
  const auto before = signal(SIGSEGV, handle);  // a handler of the program's own
  CHECK((before != SIG_ERR));
  CHECK(instructions() == expected());
  CHECK((signal(SIGSEGV, before) == handle));
}

TEST_CASE("inside: a true fault" * doctest::skip()) {
  signal(SIGSEGV, SIG_DFL);
  volatile int* const nowhere = nullptr;
  CHECK(*nowhere == 0);
}

TEST_CASE("instructions beyond a level are hidden from a program, its threads and its handlers") {
  if (const std::string reason = obstacle(); !reason.empty()) return skip(reason);
  const char* const inside = "inside: the expected instructions*";
  const unsigned all = instructions();
  CHECK(exit_status(inside, "avx2", all & avx2) == 0);
  CHECK(exit_status(inside, "avx2", all & avx2 ? 0 : avx2) == 1);  // the test case can fail
  CHECK(exit_status(inside, "avx2_vnni", all & (avx2 | avx_vnni)) == 0);
  CHECK(exit_status(inside, "avx512", all) == 2);
}

TEST_CASE("a program from which instructions are hidden still ends by a true fault") {
  if (const std::string reason = obstacle(); !reason.empty()) return skip(reason);
  CHECK(exit_status("inside: a true fault", "avx2", 0) == 128 + SIGSEGV);  // as the shell says it
}

#endif
