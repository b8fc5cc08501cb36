#include "backends/cpu/gemm.h"

// GCC 12 takes the deliberately undefined operands of its own AVX-512 intrinsics, inlined into Eigen,
// for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <oneapi/dnnl/dnnl.h>

#include <Eigen/Core>

#include "backends/common/one_thread.h"
#include "tensor/error.h"

namespace nabla {

void gemm(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const OneThread guard;
  const dnnl_status_t status = dnnl_sgemm(a_transposed ? 'T' : 'N', b_transposed ? 'T' : 'N', m, n, k, alpha,
                                          a, lda, b, ldb, beta, c, ldc);
  check(status == dnnl_success, "gemm: oneDNN refuses {} x {} x {} (lda {}, ldb {}, ldc {})", m, n, k, lda,
        ldb, ldc);
}

void gemm(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  const OneThread guard;
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stored = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;
  const Stored left(a, a_transposed ? k : m, a_transposed ? m : k, Eigen::OuterStride<>(lda));
  const Stored right(b, b_transposed ? n : k, b_transposed ? k : n, Eigen::OuterStride<>(ldb));
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>> out(c, m, n, Eigen::OuterStride<>(ldc));
  if (beta == 0)
    out.setZero();
  else if (beta != 1)
    out *= beta;
  if (a_transposed && b_transposed)
    out.noalias() += alpha * left.transpose() * right.transpose();
  else if (a_transposed)
    out.noalias() += alpha * left.transpose() * right;
  else if (b_transposed)
    out.noalias() += alpha * left * right.transpose();
  else
    out.noalias() += alpha * left * right;
}

}  // namespace nabla
