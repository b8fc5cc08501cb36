// Streams, events and graphs of the runtime.
#include <algorithm>
#include <utility>

#include "tests/backends/cuda_emulator/device.h"

using emulator::answer;
using emulator::device;
using emulator::fault;
using emulator::forbidden_in_capture;
using emulator::Lock;
using emulator::queue_late_work;
using emulator::work_off;
using emulator::work_until;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  device().streams.push_back(*stream = new CUstream_st);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
  queue_late_work(stream);
  work_off();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const auto failed = fault()) return *failed;
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (stream->capture) return cudaSuccess;  // it then belongs to the graph, and nothing here waits for those
  event->recorded = device().done + device().queue.size() + stream->late.size();
  event->stream = stream;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(device().mutex);
  const bool is_late = event->stream != nullptr && !event->stream->late.empty();
  // Remembered as the last error, as the real one does.
  return is_late || device().done < event->recorded ? answer(cudaErrorNotReady) : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(device().mutex);
  if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
  queue_late_work(event->stream);
  stream->waited = std::max(stream->waited, event->recorded);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (forbidden_in_capture()) return answer(cudaErrorStreamCaptureUnsupported);
  queue_late_work(event->stream);
  work_until(event->recorded);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (stream->capture) return answer(cudaErrorInvalidValue);
  stream->capture = std::make_unique<CUgraph_st>();
  stream->invalid = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (!stream->capture) return answer(cudaErrorInvalidValue);
  *graph = stream->capture.release();
  if (!stream->invalid) return cudaSuccess;
  delete std::exchange(*graph, nullptr);
  return answer(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* program, cudaGraph_t graph, unsigned long long) {
  if (const auto failed = fault()) return *failed;
  *program = new CUgraphExec_st{.work = graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t program, cudaStream_t stream) {
  if (const auto failed = fault()) return *failed;
  const Lock lock(device().mutex);
  if (stream->capture) return forbidden_in_capture(), answer(cudaErrorStreamCaptureUnsupported);
  for (const Work& work : program->work) device().queue.push_back(work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t program) {
  delete program;
  return fault().value_or(cudaSuccess);
}
