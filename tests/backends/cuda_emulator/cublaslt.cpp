// d = alpha op(a) op(b) + beta c [+ bias along the rows], all column-major.
#include <cublasLt.h>

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

void multiply(const Problem& p, const void* a, const void* b, const void* c, void* d) {
  const int64_t m = p.m(), n = p.n(), k = p.k();
  for (int64_t batch = 0; batch < p.d.batch; ++batch) {
    const std::vector<double> left = lines_of(a, p.a, p.desc.first == CUBLAS_OP_T, batch);
    const std::vector<double> right = lines_of(b, p.b, p.desc.second == CUBLAS_OP_N, batch);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        const double *x = left.data() + i * k, *y = right.data() + j * k;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t l = 0; l < k; ++l) sum += x[l] * y[l];
        double value = p.alpha * sum;
        if (p.desc.bias != nullptr) value += load(p.desc.bias, p.d.type, i);
        if (p.beta != 0) value += p.beta * load(c, p.c.type, batch * p.c.batch_offset + j * p.c.step + i);
        keep(d, p.d.type, batch * p.d.batch_offset + j * p.d.step + i, value);
      }
    }
  }
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
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return *handle = nullptr, CUBLAS_STATUS_SUCCESS; }
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
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t, const void*,
                                                    size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  *found = 0;
  if (!Problem{*desc, *a, *b, *c, *d, 1, 0}.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  *found = 1;
  results[0] = {{}, CUBLAS_STATUS_SUCCESS};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void*, size_t,
                              cudaStream_t stream) {
  const Problem problem{*desc,
                        *a_layout,
                        *b_layout,
                        *c_layout,
                        *d_layout,
                        *static_cast<const float*>(alpha),
                        *static_cast<const float*>(beta)};
  if (!problem.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  emulator::enqueue(stream, [=] { multiply(problem, a, b, c, d); });
  return CUBLAS_STATUS_SUCCESS;
}
