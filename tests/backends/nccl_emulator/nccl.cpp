// In place of NCCL: its calls by MPI, on the emulated GPUs of several processes, each when an event behind it is waited for.
#include <nccl.h>

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstring>
#include <functional>
#include <utility>
#include <vector>

struct ncclComm {
  MPI_Comm processes;
};

namespace {

constexpr char known_id[] = "the one that the first process made";

// What was asked for since ncclGroupStart(): begun together, as who sends would wait for who receives otherwise.
struct Group {
  int depth = 0;
  std::vector<std::function<MPI_Request()>> calls;
  cudaStream_t stream = nullptr;
};
Group group;

void do_together(const std::vector<std::function<MPI_Request()>>& calls) {
  std::vector<MPI_Request> requests;
  for (const auto& call : calls) requests.push_back(call());
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

ncclResult_t ask(cudaStream_t stream, std::function<MPI_Request()> call) {
  group.calls.push_back(std::move(call));
  group.stream = stream;
  return group.depth > 0 ? ncclSuccess : (group.depth = 1, ncclGroupEnd());
}

MPI_Datatype type_of(ncclDataType_t type) {
  switch (type) {
    case ncclFloat32:
      return MPI_FLOAT;
    case ncclFloat64:
      return MPI_DOUBLE;
    case ncclInt64:
      return MPI_INT64_T;
    default:
      return MPI_BYTE;
  }
}

}  // namespace

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclUnhandledCudaError ? "a stream does not wait for what it is to send"
                                          : "an invalid call";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memcpy(id->internal, known_id, sizeof known_id);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* links, int count, ncclUniqueId id, int rank) {
  int size = 0, own = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &own);
  if (count != size || rank != own || std::strcmp(id.internal, known_id) != 0) return ncclInvalidArgument;
  *links = new ncclComm;
  MPI_Comm_dup(MPI_COMM_WORLD, &(*links)->processes);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return ++group.depth, ncclSuccess; }

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return ncclInvalidUsage;
  if (--group.depth > 0 || group.calls.empty()) return ncclSuccess;
  const cudaError_t asked =
      emulator::enqueue_late(group.stream, [calls = std::exchange(group.calls, {})] { do_together(calls); });
  return asked == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t links, cudaStream_t stream) {
  if (from != to || type == ncclUint8) return ncclInvalidUsage;  // the backend adds up in place
  return ask(stream, [=] {
    MPI_Request request;
    MPI_Iallreduce(MPI_IN_PLACE, to, static_cast<int>(count), type_of(type), MPI_SUM, links->processes,
                   &request);
    return request;
  });
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t links, cudaStream_t stream) {
  return ask(stream, [=] {
    int rank = 0;
    MPI_Comm_rank(links->processes, &rank);
    if (rank == root && from != to) std::memcpy(to, from, count);
    MPI_Request request;
    MPI_Ibcast(to, static_cast<int>(count), type_of(type), root, links->processes, &request);
    return request;
  });
}

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int to, ncclComm_t links,
                      cudaStream_t stream) {
  return ask(stream, [=] {
    MPI_Request request;
    MPI_Isend(from, static_cast<int>(count), type_of(type), to, 0, links->processes, &request);
    return request;
  });
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int from, ncclComm_t links,
                      cudaStream_t stream) {
  return ask(stream, [=] {
    MPI_Request request;
    MPI_Irecv(to, static_cast<int>(count), type_of(type), from, 0, links->processes, &request);
    return request;
  });
}
