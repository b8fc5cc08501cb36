// cuBLASLt, loaded when a GPU computes its first product. Linked in the usual way it would be loaded at
// every start: a program that computes on the CPU would carry 140 MB of it, or would not start at all where
// only the driver is installed. So its functions are defined here and forward their arguments, and callers
// see no difference.
#include <cublasLt.h>
#include <dlfcn.h>

#include "tensor/error.h"

namespace nabla {

namespace {

// Where the system finds it, or else where the toolkit had it that this program was built with.
void* open_library() {
  for (const char* name : {DINOMALY_CUBLASLT, DINOMALY_CUBLASLT_FOLDER "/" DINOMALY_CUBLASLT}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  fail_input("matmul: {} of the CUDA toolkit cannot be loaded: {}", DINOMALY_CUBLASLT, dlerror());
}

// Calls the library's function of the same type as `declared`.
template <class Result, class... Parameters>
Result call(Result (*)(Parameters...), const char* name, Parameters... arguments) {
  static void* const library = open_library();
  void* function = dlsym(library, name);
  if (function == nullptr) fail_input("matmul: {} has no {}", DINOMALY_CUBLASLT, name);
  return reinterpret_cast<Result (*)(Parameters...)>(function)(arguments...);
}

}  // namespace

}  // namespace nabla

using nabla::call;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return call(cublasLtCreate, "cublasLtCreate", handle);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return call(cublasLtDestroy, "cublasLtDestroy", handle);
}
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return call(cublasLtGetStatusString, "cublasLtGetStatusString", status);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t step) {
  return call(cublasLtMatrixLayoutCreate, "cublasLtMatrixLayoutCreate", layout, type, rows, columns, step);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return call(cublasLtMatrixLayoutDestroy, "cublasLtMatrixLayoutDestroy", layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return call(cublasLtMatrixLayoutSetAttribute, "cublasLtMatrixLayoutSetAttribute", layout, attribute, value,
              bytes);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return call(cublasLtMatmulDescCreate, "cublasLtMatmulDescCreate", desc, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  return call(cublasLtMatmulDescDestroy, "cublasLtMatmulDescDestroy", desc);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  return call(cublasLtMatmulDescSetAttribute, "cublasLtMatmulDescSetAttribute", desc, attribute, value,
              bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return call(cublasLtMatmulPreferenceCreate, "cublasLtMatmulPreferenceCreate", preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return call(cublasLtMatmulPreferenceDestroy, "cublasLtMatmulPreferenceDestroy", preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return call(cublasLtMatmulPreferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute", preference,
              attribute, value, bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  return call(cublasLtMatmulAlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic", handle, desc, a, b, c, d,
              preference, wanted, results, found);
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  return call(cublasLtMatmul, "cublasLtMatmul", handle, desc, alpha, a, a_layout, b, b_layout, beta, c,
              c_layout, d, d_layout, algorithm, workspace, workspace_bytes, stream);
}

}  // extern "C"
