// The runtime's host side: one queue of work for all streams, done in order when the host waits.
#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/backends/cuda_emulator/block.h"
#include "tests/backends/cuda_emulator/memory.h"

using Work = std::function<void()>;

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> capture = {};  // not null: work goes here
  bool invalid = false;                      // something was asked for that cannot be captured
};
struct CUevent_st {
  size_t recorded = 0;  // how much work stood before it
};

namespace {

struct Device {
  std::recursive_mutex mutex;
  emulator::DeviceMemory memory;
  std::deque<Work> queue;
  size_t done = 0;  // work, since the beginning
  std::vector<CUstream_st*> streams;
  std::map<const char*, size_t> pinned;
  std::map<const void*, size_t> dynamic_shared;  // what kernels were allowed
  cudaError_t last_error = cudaSuccess;
};

Device& device() {
  static Device& device = *new Device;
  return device;
}

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) device().last_error = error;
  return error;
}

// Does the first `count` pieces of work ever asked for.
void work_until(size_t count) {
  Device& d = device();
  if (d.done >= count) return;
  const emulator::DeviceMemory::Access access(d.memory);
  while (d.done < count) {
    const Work work = std::move(d.queue.front());
    d.queue.pop_front();
    ++d.done;
    work();
  }
  d.memory.check_guards();
}
void work_off() { work_until(device().done + device().queue.size()); }

// Calls that wait, or touch memory at once, cannot be part of a graph.
bool forbidden_in_capture() {
  bool capturing = false;
  for (CUstream_st* stream : device().streams) {
    if (!stream->capture) continue;
    stream->invalid = capturing = true;
  }
  return capturing;
}

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

using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }
cudaError_t cudaGetLastError() {
  const Lock lock(device().mutex);
  return std::exchange(device().last_error, cudaSuccess);
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int index) { return answer(index == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated", 8, 6};
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** block, size_t bytes) {
  const Lock lock(device().mutex);
  *block = device().memory.allocate(bytes);
  if (*block == nullptr) {
    work_off();  // the queue may hold memory on its way back
    *block = device().memory.allocate(bytes);
  }
  if (*block == nullptr) return answer(cudaErrorMemoryAllocation);
  device().queue.push_back([block = *block] { device().memory.prepare(block); });
  return cudaSuccess;
}

// Waits for all work before it, as the real one does: by doing what it does in its turn.
cudaError_t cudaFree(void* block) {
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  device().queue.push_back([block] { device().memory.release(block); });
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** block, size_t bytes) {
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  *block = std::malloc(bytes);
  std::memset(*block, 0xff, bytes);
  device().pinned[static_cast<char*>(*block)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* block) {
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  work_off();
  device().pinned.erase(static_cast<char*>(block));
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  const Lock lock(device().mutex);
  *free_bytes = device().memory.available();
  *total = emulator::DeviceMemory::total;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const Lock lock(device().mutex);
  const auto valid = [&](const void* data, bool on_device) {
    return on_device ? device().memory.holds(data, bytes) : device().memory.is_foreign(data);
  };
  if (!valid(to, kind != cudaMemcpyDeviceToHost) || !valid(from, kind != cudaMemcpyHostToDevice))
    return answer(cudaErrorInvalidValue);
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from, bytes)) {
    // Read at once, as pageable memory is; a graph could not do that.
    if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
    const auto copy = std::make_shared<std::vector<char>>(bytes);
    std::memcpy(copy->data(), from, bytes);
    return emulator::enqueue(stream, [to, copy] { std::memcpy(to, copy->data(), copy->size()); });
  }
  return emulator::enqueue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(device().mutex);
  device().streams.push_back(*stream = new CUstream_st);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(device().mutex);
  if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
  work_off();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(device().mutex);
  if (stream->capture) return cudaSuccess;  // it then belongs to the graph, and nothing here waits for those
  event->recorded = device().done + device().queue.size();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  work_until(event->recorded);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Lock lock(device().mutex);
  if (stream->capture) return answer(cudaErrorInvalidValue);
  stream->capture = std::make_unique<CUgraph_st>();
  stream->invalid = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(device().mutex);
  if (!stream->capture) return answer(cudaErrorInvalidValue);
  *graph = stream->capture.release();
  if (!stream->invalid) return cudaSuccess;
  delete std::exchange(*graph, nullptr);
  return answer(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* program, cudaGraph_t graph, unsigned long long) {
  *program = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t program, cudaStream_t stream) {
  const Lock lock(device().mutex);
  if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
  for (const Work& work : program->work) device().queue.push_back(work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t program) { return delete program, cudaSuccess; }

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  constexpr int most = 99 * 1024;  // of architectures 86 and 89
  const Lock lock(device().mutex);
  if (value > most) return answer(cudaErrorInvalidValue);
  device().dynamic_shared[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

namespace emulator {

cudaError_t enqueue(cudaStream_t stream, Work work) {
  const Lock lock(device().mutex);
  if (stream->capture)
    stream->capture->work.push_back(std::move(work));
  else
    device().queue.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, Work body) {
  constexpr size_t always_allowed = 48 * 1024;
  const unsigned blocks = config.gridDim.x, threads = config.blockDim.x;
  const size_t shared = config.dynamicSmemBytes;
  const bool one_axis = config.gridDim.y * config.gridDim.z * config.blockDim.y * config.blockDim.z == 1;
  const Lock lock(device().mutex);
  const auto allowed = device().dynamic_shared.find(kernel);
  const size_t most = allowed == device().dynamic_shared.end() ? always_allowed : allowed->second;
  if (!one_axis || blocks == 0 || threads == 0 || threads > 1024 || shared > std::max(most, always_allowed))
    return answer(cudaErrorInvalidValue);
  return enqueue(config.stream, [blocks, threads, shared, body = std::move(body)] {
    run_grid(blocks, threads, shared, body);
  });
}

}  // namespace emulator
