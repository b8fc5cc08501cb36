// d = alpha op(a) op(b) + beta c [+ bias along the rows], all column-major. As of the real library, the algorithm is
// chosen by what the caller allows: a long sum is split where that is possible at all, and added up in d's dtype where that
// is not forbidden.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/common/convert.h"

namespace {

using nabla::BFloat16;

float load(const void* data, cudaDataType_t type, int64_t at) {
  return type == CUDA_R_16BF ? static_cast<float>(static_cast<const BFloat16*>(data)[at])
                             : static_cast<const float*>(data)[at];
}

void keep(void* data, cudaDataType_t type, int64_t at, double value) {
  if (type == CUDA_R_16BF)
    nabla::store(static_cast<BFloat16*>(data)[at], value);
  else
    nabla::store(static_cast<float*>(data)[at], value);
}

struct Problem {
  cublasLtMatmulDesc desc;
  cublasLtMatrixLayout a, b, c, d;
  double alpha, beta;

  int64_t m() const { return static_cast<int64_t>(d.rows); }
  int64_t n() const { return static_cast<int64_t>(d.columns); }
  int64_t k() const { return static_cast<int64_t>(desc.first == CUBLAS_OP_N ? a.columns : a.rows); }

  bool fits() const {
    const auto shape = [](const cublasLtMatrixLayout& x, cublasOperation_t op) {
      return op == CUBLAS_OP_N ? std::pair(x.rows, x.columns) : std::pair(x.columns, x.rows);
    };
    const auto [m, k] = shape(a, desc.first);
    const auto [other_k, n] = shape(b, desc.second);
    for (const cublasLtMatrixLayout* x : {&a, &b, &c, &d}) {
      if (x->batch != d.batch || x->step < static_cast<int64_t>(x->rows)) return false;
    }
    const bool biased = desc.epilogue == CUBLASLT_EPILOGUE_BIAS;
    return k == other_k && m == d.rows && n == d.columns && c.rows == m && c.columns == n &&
           a.type == b.type && c.type == d.type && biased == (desc.bias != nullptr);
  }
};

// op(x) or its transpose with the sums' axis innermost: (lines, k).
std::vector<double> lines_of(const void* data, const cublasLtMatrixLayout& x, bool k_is_row, int64_t batch) {
  const int64_t rows = static_cast<int64_t>(x.rows), columns = static_cast<int64_t>(x.columns);
  std::vector<double> lines(static_cast<size_t>(rows * columns));
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = k_is_row ? column * rows + row : row * columns + column;
      lines[static_cast<size_t>(at)] = load(data, x.type, batch * x.batch_offset + column * x.step + row);
    }
  }
  return lines;
}

// The sum of x[l] y[l], in the parts that the algorithm has.
double long_sum(const cublasLtMatmulAlgo_t& algorithm, const double* x, const double* y, int64_t k,
                float* parts) {
  const int64_t count = algorithm.parts;
  for (int64_t part = 0; part < count; ++part) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t l = k * part / count; l < k * (part + 1) / count; ++l) sum += x[l] * y[l];
    if (count == 1) return sum;
    parts[part] = static_cast<float>(sum);
  }
  float total = 0;
  for (int64_t part = 0; part < count; ++part) {
    total += parts[part];
    if (algorithm.scheme == CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE)
      total = static_cast<float>(BFloat16(total));
  }
  return total;
}

void multiply(const Problem& p, const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b,
              const void* c, void* d, float* parts) {
  const int64_t m = p.m(), n = p.n(), k = p.k();
  for (int64_t batch = 0; batch < p.d.batch; ++batch) {
    const std::vector<double> left = lines_of(a, p.a, p.desc.first == CUBLAS_OP_T, batch);
    const std::vector<double> right = lines_of(b, p.b, p.desc.second == CUBLAS_OP_N, batch);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        const double *x = left.data() + i * k, *y = right.data() + j * k;
        double value = p.alpha * long_sum(algorithm, x, y, k, parts);
        if (p.desc.bias != nullptr) value += load(p.desc.bias, p.d.type, i);
        if (p.beta != 0) value += p.beta * load(c, p.c.type, batch * p.c.batch_offset + j * p.c.step + i);
        keep(d, p.d.type, batch * p.d.batch_offset + j * p.d.step + i, value);
      }
    }
  }
}

// Nothing for addresses of less than 4 bytes' alignment; in four parts where k is long.
bool choose(const Problem& p, const cublasLtMatmulPreference& allowed, cublasLtMatmulAlgo_t& chosen) {
  chosen = {.parts = 1, .scheme = CUBLASLT_REDUCTION_SCHEME_NONE, .workspace = 0, .alignments = {}};
  for (size_t i = 0; i < 4; ++i) {
    if (allowed.alignments[i] < 4) return false;
    chosen.alignments[i] = std::min(allowed.alignments[i], 16u);
  }
  constexpr uint32_t parts = 4;
  if (p.k() < 64 || allowed.workspace < parts * sizeof(float)) return true;
  for (const uint32_t scheme :
       {CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE}) {
    if (scheme == CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE && p.d.type != CUDA_R_16BF) continue;
    if ((allowed.schemes & scheme) == 0) continue;
    chosen.parts = parts, chosen.scheme = scheme, chosen.workspace = parts * sizeof(float);
    break;
  }
  return true;
}

bool is_aligned(const void* pointer, uint32_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

template <class Value>
cublasStatus_t take(Value& place, const void* value, size_t bytes) {
  if (bytes != sizeof place) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&place, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "invalid value";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (!emulator::is_sound()) return CUBLAS_STATUS_EXECUTION_FAILED;
  return *handle = nullptr, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t, cudaDataType_t) {
  return *desc = new cublasLtMatmulDesc, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  return delete desc, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(desc->first, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(desc->second, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(desc->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t step) {
  *layout = new cublasLtMatrixLayout{type, rows, columns, step};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return delete layout, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? take(layout->batch, value, bytes)
                                                         : take(layout->batch_offset, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return *preference = new cublasLtMatmulPreference, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return delete preference, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return take(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return take(preference->schemes, value, bytes);
    default:
      return take(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
                  bytes);
  }
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  *found = 0;
  const Problem problem{*desc, *a, *b, *c, *d, 1, 0};
  if (!problem.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  if (!choose(problem, *preference, results[0].algo)) return CUBLAS_STATUS_NOT_SUPPORTED;
  *found = 1;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (!emulator::is_sound()) return CUBLAS_STATUS_EXECUTION_FAILED;
  const Problem problem{*desc,
                        *a_layout,
                        *b_layout,
                        *c_layout,
                        *d_layout,
                        *static_cast<const float*>(alpha),
                        *static_cast<const float*>(beta)};
  if (!problem.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  const void* const addresses[] = {a, b, c, d};
  for (size_t i = 0; i < 4; ++i) {
    if (!is_aligned(addresses[i], algorithm->alignments[i])) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (workspace_bytes < algorithm->workspace || !is_aligned(desc->bias, 16))
    return CUBLAS_STATUS_INVALID_VALUE;
  emulator::enqueue(stream, [=, algorithm = *algorithm] {
    multiply(problem, algorithm, a, b, c, d, static_cast<float*>(workspace));
  });
  return CUBLAS_STATUS_SUCCESS;
}
