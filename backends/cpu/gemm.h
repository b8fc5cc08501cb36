// Row-major matrix products on raw memory, for kernels that are made of many small ones. They run on the
// calling thread alone: a library that used several would choose by their number how it adds up.
#pragma once

#include <cstdint>

namespace nabla {

// c (m, n) = alpha op(a) op(b) + beta c, op(a) of (m, k), op(b) of (k, n). A `transposed` operand is stored
// with its axes exchanged. The ld are the steps from row to row, at least the stored row's length. With
// beta = 0 c is not read.
void gemm(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

}  // namespace nabla
