#include "autograd/anomaly.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

namespace nabla {

namespace {

constexpr int max_frames = 64;
constexpr size_t max_lines = 8;
constexpr const char* no_lines = "no source lines: binutils' addr2line is missing or knows none";

struct NonFinite {
  int64_t index;
  double value;
};

std::optional<NonFinite> first_non_finite(const Tensor& tensor) {
  if (!tensor.defined() || !is_floating(tensor.dtype())) return std::nullopt;
  const Tensor local = tensor.to(Device::cpu()).contiguous();
  return visit_floating(local.dtype(), [&](auto type) -> std::optional<NonFinite> {
    const auto* values = local.data<decltype(type)>();
    for (int64_t i = 0; i < local.numel(); ++i) {
      const double value = static_cast<double>(values[i]);
      if (!std::isfinite(value)) return NonFinite{i, value};
    }
    return std::nullopt;
  });
}

// NaN has a sign, which says nothing.
std::string text_of(double value) { return std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf"; }

std::string call_text(const CallStack& stack) {
  const std::vector<std::string> lines = source_lines(stack);
  return fmt::format("called at {}", lines.empty() ? no_lines : fmt::to_string(fmt::join(lines, ", ")));
}

// Offsets of the stack's frames in this program's file; frames of shared libraries are left out. A frame
// holds where its call returns to, so the call itself lies one byte before.
std::vector<uintptr_t> offsets_in_program(const CallStack& stack) {
  Dl_info own{}, info{};
  if (dladdr(reinterpret_cast<void*>(&call_stack), &own) == 0) return {};
  std::vector<uintptr_t> offsets;
  for (void* address : stack) {
    if (dladdr(address, &info) == 0 || info.dli_fbase != own.dli_fbase) continue;
    offsets.push_back(reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1);
  }
  return offsets;
}

// The lines "FILE:LINE" that addr2line prints for the offsets, inlined calls included; empty where
// it is missing.
std::vector<std::string> run_addr2line(const std::vector<uintptr_t>& offsets) {
  std::string command = fmt::format("addr2line -i -e /proc/{}/exe", getpid());
  for (uintptr_t offset : offsets) command += fmt::format(" {:#x}", offset);
  command += " 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 4096> block;
  while (pipe && std::fgets(block.data(), block.size(), pipe.get()) != nullptr) text += block.data();
  std::vector<std::string> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  return lines;
}

// The folder of the sources, ending in '/', as the compiler was given it, derived from this file's own path.
const std::string& source_root() {
  static const std::string root = [] {
    const std::string own = std::filesystem::path(__FILE__).lexically_normal().string();
    const size_t at = own.rfind("autograd/anomaly.cpp");
    return at == std::string::npos ? std::string() : own.substr(0, at);
  }();
  return root;
}

// A path relative to the root of the sources; other paths unchanged. Where the compiler was given relative
// names, paths read BUILD/../FILE and the root is "../", or BUILD/../TREE/FILE and "../TREE/".
std::string from_root(const std::string& path) {
  const std::string& root = source_root();
  if (root.empty() || path.starts_with("/usr/")) return path;
  if (root.front() == '/') return path.starts_with(root) ? path.substr(root.size()) : path;
  const size_t at = path.rfind("/" + root);
  return at == std::string::npos ? path : path.substr(at + 1 + root.size());
}

bool is_framework(const std::string& path) {
  for (const char* folder : {"autograd/", "tensor/", "backends/", "/usr/"}) {
    if (path.starts_with(folder)) return true;
  }
  return false;
}

// Names of the functions that the dynamic linker knows: all that is available without addr2line.
std::vector<std::string> function_names(const CallStack& stack) {
  std::vector<std::string> names;
  Dl_info info{};
  for (void* address : stack) {
    if (dladdr(address, &info) == 0 || info.dli_sname == nullptr) continue;
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
    names.emplace_back(status == 0 ? name.get() : info.dli_sname);
    if (names.size() == max_lines) break;
  }
  if (!names.empty()) names.emplace_back(fmt::format("({})", no_lines));
  return names;
}

}  // namespace

CallStack call_stack() {
  std::array<void*, max_frames> frames;
  const int count = backtrace(frames.data(), max_frames);
  return CallStack(frames.begin(), frames.begin() + count);
}

std::vector<std::string> source_lines(const CallStack& stack) {
  const std::vector<std::string> found = run_addr2line(offsets_in_program(stack));
  std::vector<std::string> lines;
  for (const std::string& line : found) {
    if (line.starts_with("?") || line.ends_with(":?") || line.ends_with(":0")) continue;
    // "FILE:LINE (discriminator 2)": the discriminator, which numbers copies of one line, means nothing
    // to a reader.
    const std::string place = from_root(line.substr(0, line.find(" (")));
    if (!is_framework(place) && lines.size() < max_lines) lines.push_back(place);
  }
  return lines.empty() ? function_names(stack) : lines;
}

void check_output(const char* op, const Tensor& output) {
  if (const auto found = first_non_finite(output))
    fail("{}: the output holds {} (first at index {}); {}", op, text_of(found->value), found->index,
         call_text(call_stack()));
}

void check_gradient(const char* op, size_t input, const Tensor& gradient, const CallStack& forward) {
  if (const auto found = first_non_finite(gradient))
    fail("{}: backward gave {} in the gradient of input {} (first at index {}); the op was {}", op,
         text_of(found->value), input, found->index,
         forward.empty() ? "called before the detector was switched on" : call_text(forward));
}

}  // namespace nabla
