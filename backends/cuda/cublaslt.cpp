#include "backends/cuda/cublaslt.h"

#include <cublasLt.h>

#include <algorithm>

#include "backends/cuda/cuda.h"

namespace nabla {

namespace {

constexpr size_t workspace_bytes = size_t{32}
                                   << 20;  // what NVIDIA recommends for Hopper; less suffices before

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  size_t free_bytes = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free_bytes, &total), "matmul");  // after a fault this says which
  fail("matmul: {}: {}", call, cublasLtGetStatusString(status));
}

// What cuBLASLt answers to a problem, or to an alignment, that it has nothing for.
bool is_refused(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
}

struct Destroy {
  void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
  void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
  void operator()(cublasLtMatmulPreference_t preference) const {
    cublasLtMatmulPreferenceDestroy(preference);
  }
};
template <class Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy>;

cudaDataType_t type_of(Dtype dtype) { return dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// A matrix as cuBLASLt counts, column-major: a dense row-major (rows, columns) is its transpose there.
Owned<cublasLtMatrixLayout_t> layout_of(Dtype dtype, int64_t rows, int64_t columns, int64_t batch,
                                        bool shared) {
  cublasLtMatrixLayout_t made = nullptr;
  check_cublas(cublasLtMatrixLayoutCreate(&made, type_of(dtype), static_cast<uint64_t>(columns),
                                          static_cast<uint64_t>(rows), columns),
               "layout");
  Owned<cublasLtMatrixLayout_t> layout(made);
  const int32_t count = static_cast<int32_t>(batch);
  const int64_t stride = shared ? 0 : rows * columns;
  check_cublas(
      cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
      "layout");
  check_cublas(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                                sizeof stride),
               "layout");
  return layout;
}

template <class Value>
void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check_cublas(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value), "descriptor");
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const Value& value) {
  check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
               "preference");
}

// The largest power of two, up to 256, that divides the address.
uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  return address == 0 ? 256 : static_cast<uint32_t>(std::min<uintptr_t>(256, address & (~address + 1)));
}

}  // namespace

std::vector<int64_t> algorithm_key(const MatmulProblem& p, const MatmulPointers& pointers) {
  return {p.batch,
          p.m,
          p.n,
          p.k,
          p.a_transposed,
          p.b_transposed,
          p.a_shared,
          p.b_shared,
          static_cast<int64_t>(p.in),
          static_cast<int64_t>(p.out),
          pointers.bias != nullptr,
          pointers.addend != nullptr,
          pointers.addend == pointers.out,
          alignment_of(pointers.a),
          alignment_of(pointers.b),
          alignment_of(pointers.bias),
          alignment_of(pointers.addend),
          alignment_of(pointers.out)};
}

struct CublasLt::Plan {
  Owned<cublasLtMatmulDesc_t> desc;
  // In cuBLASLt's column-major order the product is out^T = op(b)^T op(a)^T: b comes first.
  Owned<cublasLtMatrixLayout_t> first, second, out;
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;
};

CublasLt::CublasLt(cudaStream_t stream, bool tf32) : stream_(stream), tf32_(tf32) {}

CublasLt::~CublasLt() {
  if (handle_ != nullptr) cublasLtDestroy(static_cast<cublasLtHandle_t>(handle_));
}

void CublasLt::open() {
  if (handle_ != nullptr) return;
  cublasLtHandle_t handle = nullptr;
  check_cublas(cublasLtCreate(&handle), "cublasLtCreate");
  handle_ = handle;
}

std::shared_ptr<CublasLt::Plan> CublasLt::make_plan(const MatmulProblem& p,
                                                    const MatmulPointers& pointers) const {
  const bool half = p.in == Dtype::bf16;
  auto plan = std::make_shared<Plan>();
  cublasLtMatmulDesc_t desc = nullptr;
  check_cublas(cublasLtMatmulDescCreate(
                   &desc, tf32_ && !half ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "descriptor");
  plan->desc.reset(desc);
  set(desc, CUBLASLT_MATMUL_DESC_TRANSA, p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(desc, CUBLASLT_MATMUL_DESC_TRANSB, p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (pointers.bias != nullptr) {
    set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointers.bias);
  }
  plan->first = layout_of(p.in, p.b_transposed ? p.n : p.k, p.b_transposed ? p.k : p.n, p.batch, p.b_shared);
  plan->second = layout_of(p.in, p.a_transposed ? p.k : p.m, p.a_transposed ? p.m : p.k, p.batch, p.a_shared);
  plan->out = layout_of(p.out, p.m, p.n, p.batch, false);

  cublasLtMatmulPreference_t preference = nullptr;
  check_cublas(cublasLtMatmulPreferenceCreate(&preference), "preference");
  const Owned<cublasLtMatmulPreference_t> owner(preference);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
  // Where the sum over k is split, the parts are added in f32, and not in out's bf16 (tensor/kernels.h).
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(pointers.b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(pointers.a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
      alignment_of(pointers.addend != nullptr ? pointers.addend : pointers.out));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(pointers.out));
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      static_cast<cublasLtHandle_t>(handle_), desc, plan->first.get(), plan->second.get(), plan->out.get(),
      plan->out.get(), preference, 1, &result, &count);
  if (!is_refused(status)) check_cublas(status, "heuristic");
  plan->found = status == CUBLAS_STATUS_SUCCESS && count > 0 && result.state == CUBLAS_STATUS_SUCCESS;
  plan->algorithm = result.algo;
  return plan;
}

bool CublasLt::run(const MatmulProblem& problem, const MatmulPointers& pointers, Device device) {
  // The heuristic is not told where the bias lies, so it would choose an algorithm that reads it in wide loads.
  if (pointers.bias != nullptr && alignment_of(pointers.bias) < 16) return false;
  const std::lock_guard lock(mutex_);
  open();
  if (!workspace_.defined()) {
    workspace_ = Tensor::empty({static_cast<int64_t>(workspace_bytes)}, Dtype::u8, device);
  }
  const auto plan =
      plans_.get(algorithm_key(problem, pointers), [&] { return make_plan(problem, pointers); });
  if (!plan->found) return false;
  if (pointers.bias != nullptr) set(plan->desc.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointers.bias);
  const float one = 1, beta = pointers.addend != nullptr ? 1 : 0;
  const void* addend = pointers.addend != nullptr ? pointers.addend : pointers.out;
  const cublasStatus_t status = cublasLtMatmul(
      static_cast<cublasLtHandle_t>(handle_), plan->desc.get(), &one, pointers.b, plan->first.get(),
      pointers.a, plan->second.get(), &beta, addend, plan->out.get(), pointers.out, plan->out.get(),
      &plan->algorithm, workspace_.raw_data(), workspace_bytes, stream_);
  if (is_refused(status)) return plan->found = false;
  check_cublas(status, "cublasLtMatmul");
  return true;
}

}  // namespace nabla
