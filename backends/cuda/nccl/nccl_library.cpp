// NCCL, loaded when the first tensor on a GPU is to be sent, as cublaslt_library.cpp loads cuBLASLt: a program of one process
// needs none. Its functions are defined here and forward their arguments.
#include <dlfcn.h>
#include <nccl.h>

#include "tensor/error.h"

namespace nabla {

namespace {

void* open_nccl() {
  void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    fail_input("several processes train on GPUs by NCCL, which cannot be loaded: {}", dlerror());
  return library;
}

template <class Result, class... Parameters>
Result call_nccl(Result (*)(Parameters...), const char* name, Parameters... arguments) {
  static void* const library = open_nccl();
  void* function = dlsym(library, name);
  if (function == nullptr) fail_input("NCCL: libnccl.so.2 has no {}", name);
  return reinterpret_cast<Result (*)(Parameters...)>(function)(arguments...);
}

}  // namespace

}  // namespace nabla

using nabla::call_nccl;

extern "C" {

const char* ncclGetErrorString(ncclResult_t result) {
  return call_nccl(ncclGetErrorString, "ncclGetErrorString", result);
}
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) { return call_nccl(ncclGetUniqueId, "ncclGetUniqueId", id); }
ncclResult_t ncclCommInitRank(ncclComm_t* links, int count, ncclUniqueId id, int rank) {
  return call_nccl(ncclCommInitRank, "ncclCommInitRank", links, count, id, rank);
}
ncclResult_t ncclGroupStart() { return call_nccl(ncclGroupStart, "ncclGroupStart"); }
ncclResult_t ncclGroupEnd() { return call_nccl(ncclGroupEnd, "ncclGroupEnd"); }
ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t links, cudaStream_t stream) {
  return call_nccl(ncclAllReduce, "ncclAllReduce", from, to, count, type, op, links, stream);
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t links, cudaStream_t stream) {
  return call_nccl(ncclBroadcast, "ncclBroadcast", from, to, count, type, root, links, stream);
}
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int to, ncclComm_t links,
                      cudaStream_t stream) {
  return call_nccl(ncclSend, "ncclSend", from, count, type, to, links, stream);
}
ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int from, ncclComm_t links,
                      cudaStream_t stream) {
  return call_nccl(ncclRecv, "ncclRecv", to, count, type, from, links, stream);
}

}  // extern "C"
