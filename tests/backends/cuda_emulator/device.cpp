#include "tests/backends/cuda_emulator/device.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace emulator {

namespace {

int64_t fault_in_environment() {
  const char* value = std::getenv("DINOMALY_EMULATED_FAULT");
  return value == nullptr ? INT64_MAX : std::atoll(value);
}

}  // namespace

Device& device() {
  static Device& device = [&]() -> Device& {
    Device& made = *new Device;
    made.fails_from = fault_in_environment();
    return made;
  }();
  return device;
}

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) device().last_error = error;
  return error;
}

std::optional<cudaError_t> fault() {
  return is_sound() ? std::nullopt : std::optional(answer(cudaErrorIllegalAddress));
}

void work_until(size_t count) {
  Device& d = device();
  if (d.done >= count) return;
  ++d.calls.waits;
  const DeviceMemory::Access access(d.memory);
  while (d.done < count) {
    const Work work = std::move(d.queue.front());
    d.queue.pop_front();
    ++d.done;
    if (work.run) work.run();
  }
  d.memory.check_guards();
}
void work_off() { work_until(device().done + device().queue.size()); }

void queue_late_work(CUstream_st* stream) {
  if (stream == nullptr || stream->late.empty()) return;
  for (Work& work : std::exchange(stream->late, {})) device().queue.push_back(std::move(work));
  stream->last = device().done + device().queue.size();
}

bool is_capturing() {
  const auto& streams = device().streams;
  return std::any_of(streams.begin(), streams.end(),
                     [](const CUstream_st* stream) { return stream->capture != nullptr; });
}

bool forbidden_in_capture() {
  bool capturing = false;
  for (CUstream_st* stream : device().streams) {
    if (!stream->capture) continue;
    stream->invalid = capturing = true;
  }
  return capturing;
}

}  // namespace emulator
