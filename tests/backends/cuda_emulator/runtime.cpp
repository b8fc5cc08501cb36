// The runtime's host side but for streams: errors, memory, copies and launches, and what tests ask of the emulator.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "tests/backends/cuda_emulator/device.h"

using emulator::answer;
using emulator::device;
using emulator::fault;
using emulator::forbidden_in_capture;
using emulator::is_capturing;
using emulator::Lock;
using emulator::work_off;

namespace {

bool is_pinned(const void* data, size_t bytes) {
  const char* begin = static_cast<const char*>(data);
  const auto after = device().pinned.upper_bound(begin);
  return after != device().pinned.begin() &&
         begin + bytes <= std::prev(after)->first + std::prev(after)->second;
}

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};
const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& known : error_texts) {
    if (known.error == error) return known;
  }
  return error_texts[1];
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }
cudaError_t cudaGetLastError() {
  const Lock lock(device().mutex);
  return device().failed ? cudaErrorIllegalAddress : std::exchange(device().last_error, cudaSuccess);
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* index) {
  if (const auto failed = fault()) return *failed;
  return *index = 0, cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  if (const auto failed = fault()) return *failed;
  ++device().calls.selects;
  return answer(index == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated", 8, 6};
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (device().lacks_memory_in_capture && is_capturing()) return answer(cudaErrorMemoryAllocation);
  *block = device().memory.allocate(bytes);
  if (*block == nullptr) {
    work_off();  // the queue may hold memory on its way back
    *block = device().memory.allocate(bytes);
  }
  if (*block == nullptr) return answer(cudaErrorMemoryAllocation);
  device().queue.push_back({[block = *block] { device().memory.prepare(block); }, true});
  return cudaSuccess;
}

// Waits for all work before it, as the real one does: by doing what it does in its turn.
cudaError_t cudaFree(void* block) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  device().queue.push_back({[block] { device().memory.release(block); }, true});
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** block, size_t bytes) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  *block = std::malloc(bytes);
  std::memset(*block, 0xff, bytes);
  device().pinned[static_cast<char*>(*block)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* block) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  work_off();
  device().pinned.erase(static_cast<char*>(block));
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  *free_bytes = device().memory.available();
  *total = emulator::DeviceMemory::total;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  const auto valid = [&](const void* data, bool on_device) {
    return on_device ? device().memory.holds(data, bytes) : device().memory.is_foreign(data);
  };
  if (!valid(to, kind != cudaMemcpyDeviceToHost) || !valid(from, kind != cudaMemcpyHostToDevice))
    return answer(cudaErrorInvalidValue);
  if (kind == cudaMemcpyHostToDevice) ++device().calls.uploads;
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from, bytes)) {
    // Read at once, as pageable memory is; a graph could not do that.
    if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
    const auto copy = std::make_shared<std::vector<char>>(bytes);
    std::memcpy(copy->data(), from, bytes);
    return emulator::enqueue(stream, [to, copy] { std::memcpy(to, copy->data(), copy->size()); });
  }
  return emulator::enqueue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  if (const auto failed = fault()) return *failed;
  constexpr int most = 99 * 1024;  // of architectures 86 and 89
  const Lock lock(device().mutex);
  if (value > most) return answer(cudaErrorInvalidValue);
  device().dynamic_shared[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

namespace emulator {

Calls calls() {
  const Lock lock(device().mutex);
  return device().calls;
}

int64_t graphs() { return Counted::count; }

void fail_from(int64_t number) {
  const Lock lock(device().mutex);
  device().fails_from = device().calls.all + number;
}

void lack_memory_in_capture(bool lacks) {
  const Lock lock(device().mutex);
  device().lacks_memory_in_capture = lacks;
}

void repair() {
  const Lock lock(device().mutex);
  Device& d = device();
  d.fails_from = INT64_MAX;
  d.failed = false;
  d.last_error = cudaSuccess;
  for (CUstream_st* stream : d.streams) {
    stream->capture.reset();
    stream->invalid = false;
  }
}

bool is_sound() {
  const Lock lock(device().mutex);
  Device& d = device();
  if (++d.calls.all < d.fails_from) return true;
  if (!std::exchange(d.failed, true)) {
    for (Work& work : d.queue) {
      if (!work.keeps_books) work.run = nullptr;
    }
  }
  return false;
}

bool is_global(const void* address) { return !device().memory.is_foreign(address); }

cudaError_t enqueue(cudaStream_t stream, std::function<void()> run) {
  Work work{std::move(run)};
  const Lock lock(device().mutex);
  if (stream->capture) return stream->capture->work.push_back(std::move(work)), cudaSuccess;
  device().queue.push_back(std::move(work));
  stream->last = device().done + device().queue.size();
  return cudaSuccess;
}

cudaError_t enqueue_late(cudaStream_t stream, std::function<void()> run) {
  Work work{std::move(run)};
  const Lock lock(device().mutex);
  for (const CUstream_st* other : device().streams) {
    if (other != stream && (other->capture || stream->waited < other->last))
      return answer(cudaErrorInvalidValue);
  }
  stream->late.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body) {
  if (const auto failed = fault()) return *failed;
  constexpr size_t always_allowed = 48 * 1024;
  const unsigned blocks = config.gridDim.x, threads = config.blockDim.x;
  const size_t shared = config.dynamicSmemBytes;
  const bool one_axis = config.gridDim.y * config.gridDim.z * config.blockDim.y * config.blockDim.z == 1;
  const Lock lock(device().mutex);
  const auto allowed = device().dynamic_shared.find(kernel);
  const size_t most = allowed == device().dynamic_shared.end() ? always_allowed : allowed->second;
  if (!one_axis || blocks == 0 || threads == 0 || threads > 1024 || shared > std::max(most, always_allowed))
    return answer(cudaErrorInvalidValue);
  device().calls.blocks += blocks;
  return enqueue(config.stream, [blocks, threads, shared, kernel, body = std::move(body)] {
    run_grid(kernel, blocks, threads, shared, body);
  });
}

}  // namespace emulator
