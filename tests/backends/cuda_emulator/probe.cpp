#include "tests/backends/cuda_emulator/probe.h"

#include <cuda_runtime.h>
#include <cxxabi.h>
#include <elf.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

// By the linker: where the program and what it can write begin and end.
extern "C" char __executable_start, __data_start, _end;

namespace emulator {

namespace {

// Set on the thread of the host that runs a block, but while the probe itself works.
thread_local Probe* running = nullptr;

// The names of the program's kernels, by address.
std::map<const void*, std::string> read_kernel_names() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string image{std::istreambuf_iterator<char>(file), {}};
  const char* base = image.data();
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(base + header->e_shoff);
  const char* shift = header->e_type == ET_DYN ? &__executable_start : nullptr;
  std::map<const void*, std::string> names;
  for (const auto* s = sections; s < sections + header->e_shnum; ++s) {
    if (s->sh_type != SHT_SYMTAB) continue;
    const auto* symbol = reinterpret_cast<const Elf64_Sym*>(base + s->sh_offset);
    for (const auto* end = symbol + s->sh_size / sizeof *symbol; symbol < end; ++symbol) {
      const char* mangled = base + sections[s->sh_link].sh_offset + symbol->st_name;
      const std::unique_ptr<char, void (*)(void*)> full(
          abi::__cxa_demangle(mangled, nullptr, nullptr, nullptr), std::free);
      const std::string name = full ? full.get() : "";
      const size_t end_of_name = name.find("_kernel");
      if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || end_of_name == std::string::npos) continue;
      const size_t begin = name.find_last_of(": ", end_of_name) + 1;
      names[reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(shift) + symbol->st_value)] =
          name.substr(begin, end_of_name + 7 - begin);
    }
  }
  return names;
}

std::string name_of(const void* kernel) {
  static const std::map<const void*, std::string> names = read_kernel_names();
  const auto found = names.find(kernel);
  return found == names.end() ? "a kernel" : found->second;
}

bool is_index(const void* address) {
  const auto in = [&](const auto& index) { return address >= &index && address < &index + 1; };
  return in(threadIdx) || in(blockIdx) || in(blockDim) || in(gridDim);
}

}  // namespace

void Probe::begin_kernel(const void* kernel) {
  constexpr size_t most_pages = 8192;
  if (pages_.size() > most_pages) pages_.clear(), last_page_ = {};
  kernel_ = kernel;
  ++number_;
}

void Probe::begin_block(const void* shared, size_t bytes) {
  shared_ = static_cast<const char*>(shared), shared_bytes_ = bytes;
  ++phase_;
  moments_ = {};
  race_.clear();
  instructions_.clear();
  running = this;
}

void Probe::meet_block(const std::source_location& place) {
  if (counts_as_barrier(place)) ++phase_;
}

void Probe::meet_warp(unsigned warp, const std::source_location& place) {
  if (counts_as_barrier(place)) ++moments_[warp];
}

void Probe::end_block() {
  running = nullptr;
  if (counts) count_block();
  if (!race_.empty()) throw Fault(race_);
}

bool Probe::counts_as_barrier(const std::source_location& place) {
  const std::string file = place.file_name();
  const std::string name = fmt::format("{}:{}", file.substr(file.rfind('/') + 1), place.line());
  barriers.insert(name);
  return name != without;
}

bool Probe::is_shared(const void* address) const {
  const char* byte = static_cast<const char*>(address);
  const bool is_static = byte >= &__data_start && byte < &_end && !is_index(address);
  return is_static || (byte >= shared_ && byte < shared_ + shared_bytes_);
}

Probe::Byte& Probe::at(uintptr_t address) {
  if (last_page_.second == nullptr || last_page_.first != address / page) {
    std::unique_ptr<Page>& found = pages_[address / page];
    if (!found) found = std::make_unique<Page>();
    last_page_ = {address / page, found.get()};
  }
  Byte& byte = (*last_page_.second)[address % page];
  if (byte.kernel != number_) byte = {}, byte.kernel = number_;
  return byte;
}

// Whether nothing stands between the earlier access and one by `thread` now.
bool Probe::conflicts(const Access& access, unsigned thread) const {
  const unsigned warp = thread / lanes;
  const bool warp_met = access.thread / lanes == warp && access.moment != moments_[warp];
  return access.phase == phase_ && access.thread != thread && !warp_met;
}

void Probe::remember_read(Byte& byte, const Access& read) const {
  Access &first = byte.reads[0], &second = byte.reads[1];
  const auto warp = [](const Access& access) { return access.thread / lanes; };
  const bool two_warps = second.phase == phase_ && warp(first) != warp(second);
  if (first.phase != phase_ || first.thread == read.thread)
    first = read;
  else if (warp(first) != warp(read))
    second = read;
  else if (!two_warps)
    (first.moment != read.moment ? first : second) = read;
}

bool Probe::is_race(uintptr_t address, bool global, bool writes, unsigned thread) {
  Byte& byte = at(address);
  const int64_t block = blockIdx.x;
  const auto elsewhere = [&](int64_t other) { return global && other != none && other != block; };
  const bool written = conflicts(byte.write, thread) || elsewhere(byte.writing_block);
  const bool read = writes && (conflicts(byte.reads[0], thread) || conflicts(byte.reads[1], thread) ||
                               elsewhere(byte.reading_block));
  const Access access{phase_, moments_[thread / lanes], thread};
  if (writes) {
    byte.write = access;
    byte.writing_block = block;
  } else {
    remember_read(byte, access);
    byte.reading_block = byte.reading_block == none || byte.reading_block == block ? block : several;
  }
  return written || read;
}

void Probe::access(const void* address, size_t bytes, bool writes, const void* instruction) {
  const bool global = is_global(address);
  if (!global && !is_shared(address)) return;  // a thread's own
  const unsigned thread = threadIdx.x;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address);
  bool race = false;
  for (uintptr_t byte = begin; byte < begin + bytes; ++byte) race |= is_race(byte, global, writes, thread);
  if (race && race_.empty()) {
    race_ = fmt::format(
        "{}: a race in {} memory: block {}, thread {} {} what another thread touches with no barrier between",
        name_of(kernel_), global ? "global" : "shared", blockIdx.x, thread, writes ? "writes" : "reads");
  }
  if (!counts) return;
  Instruction& known = instructions_[instruction];
  known.addresses.resize(blockDim.x);
  known.addresses[thread].push_back(begin);
  known.bytes = bytes;
  known.shared = !global;
}

// How many sectors or passes one request takes: the k-th access of each lane that has one.
void Probe::count_block() {
  constexpr uintptr_t sector = 32, word = 4, banks = 32;
  std::vector<uintptr_t> units;  // sectors or words
  for (const auto& [place, instruction] : instructions_) {
    Sum& sum = sums_[{kernel_, place}];
    sum.shared = instruction.shared;
    const size_t threads = instruction.addresses.size(), unit = instruction.shared ? word : sector;
    for (size_t warp = 0; warp < threads; warp += lanes) {
      for (size_t k = 0;; ++k) {
        units.clear();
        for (size_t i = warp; i < std::min<size_t>(warp + lanes, threads); ++i) {
          if (k >= instruction.addresses[i].size()) continue;
          const uintptr_t begin = instruction.addresses[i][k];
          for (uintptr_t u = begin / unit; u <= (begin + instruction.bytes - 1) / unit; ++u)
            units.push_back(u);
        }
        if (units.empty()) break;
        std::sort(units.begin(), units.end());
        units.erase(std::unique(units.begin(), units.end()), units.end());
        std::array<int64_t, banks> words{};
        for (const uintptr_t u : units) ++words[u % banks];
        ++sum.requests;
        sum.parts += instruction.shared ? *std::max_element(words.begin(), words.end())
                                        : static_cast<int64_t>(units.size());
      }
    }
  }
}

std::map<std::string, Probe::Traffic> Probe::traffic() const {
  std::map<std::string, Traffic> result;
  for (const auto& [where, sum] : sums_) {
    Traffic& traffic = result[name_of(where.first)];
    double& most = sum.shared ? traffic.passes : traffic.sectors;
    most = std::max(most, static_cast<double>(sum.parts) / static_cast<double>(sum.requests));
  }
  return result;
}

}  // namespace emulator

// What the compiler calls. Of host code that is compiled with it, too; then nothing runs.
namespace {
void tell(const void* address, size_t bytes, bool writes, const void* instruction) {
  emulator::Probe* const probe = std::exchange(emulator::running, nullptr);
  if (probe) probe->access(address, bytes, writes, instruction);
  if (probe) emulator::running = probe;
}
}  // namespace

extern "C" {

void __tsan_read1(const void* p) { tell(p, 1, false, __builtin_return_address(0)); }
void __tsan_write1(const void* p) { tell(p, 1, true, __builtin_return_address(0)); }
void __tsan_read2(const void* p) { tell(p, 2, false, __builtin_return_address(0)); }
void __tsan_write2(const void* p) { tell(p, 2, true, __builtin_return_address(0)); }
void __tsan_read4(const void* p) { tell(p, 4, false, __builtin_return_address(0)); }
void __tsan_write4(const void* p) { tell(p, 4, true, __builtin_return_address(0)); }
void __tsan_read8(const void* p) { tell(p, 8, false, __builtin_return_address(0)); }
void __tsan_write8(const void* p) { tell(p, 8, true, __builtin_return_address(0)); }
void __tsan_read16(const void* p) { tell(p, 16, false, __builtin_return_address(0)); }
void __tsan_write16(const void* p) { tell(p, 16, true, __builtin_return_address(0)); }
void __tsan_unaligned_read2(const void* p) { tell(p, 2, false, __builtin_return_address(0)); }
void __tsan_unaligned_write2(const void* p) { tell(p, 2, true, __builtin_return_address(0)); }
void __tsan_unaligned_read4(const void* p) { tell(p, 4, false, __builtin_return_address(0)); }
void __tsan_unaligned_write4(const void* p) { tell(p, 4, true, __builtin_return_address(0)); }
void __tsan_unaligned_read8(const void* p) { tell(p, 8, false, __builtin_return_address(0)); }
void __tsan_unaligned_write8(const void* p) { tell(p, 8, true, __builtin_return_address(0)); }
void __tsan_unaligned_read16(const void* p) { tell(p, 16, false, __builtin_return_address(0)); }
void __tsan_unaligned_write16(const void* p) { tell(p, 16, true, __builtin_return_address(0)); }
void __tsan_read_range(const void* p, size_t bytes) { tell(p, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(const void* p, size_t bytes) { tell(p, bytes, true, __builtin_return_address(0)); }

// Of the host's shared pointers; no kernel has any.
int __tsan_atomic32_fetch_add(volatile int* p, int value, int) {
  return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}
char __tsan_atomic8_load(const volatile char* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

void __tsan_init() {}
void __tsan_func_entry(const void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(const void*) {}
void __tsan_vptr_update(const void*, const void*) {}

}  // extern "C"
