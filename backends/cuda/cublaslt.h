// Matrix products by cuBLASLt: row-major, batched, with a bias or an addend fused in.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>

#include "backends/cuda/algorithm_cache.h"
#include "tensor/tensor.h"

namespace nabla {

// out (batch, m, n) = op(a) op(b) [+ addend] [+ bias], all dense and row-major. op(a) is (batch, m, k), op(b)
// (batch, k, n); a transposed operand is stored with its last two axes exchanged, a shared one has no batch.
struct MatmulProblem {
  int64_t batch, m, n, k;
  bool a_transposed, b_transposed;
  bool a_shared, b_shared;
  Dtype in, out;  // f32 or bf16; sums are taken in f32
};
struct MatmulPointers {
  const void *a, *b;
  const void* bias = nullptr;    // (n) of `out`
  const void* addend = nullptr;  // like out, may be out itself
  void* out;
};

// Everything that decides on the algorithm: the problem, what is fused in, and how the pointers are aligned.
std::vector<int64_t> algorithm_key(const MatmulProblem& problem, const MatmulPointers& pointers);

class CublasLt {
 public:
  // tf32: products of f32 with 10 bits of mantissa.
  CublasLt(cudaStream_t stream, bool tf32);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  // Enqueues the product; false, and nothing done, where cuBLASLt has no algorithm for it: it may refuse addresses that
  // are no multiples of 16 bytes, and is not asked about such a bias. m, n, k, batch > 0. The algorithm is chosen once for
  // each key by cuBLASLt's heuristic, among those that keep partial sums in f32. Thread safe.
  bool run(const MatmulProblem& problem, const MatmulPointers& pointers, Device device);

 private:
  struct Plan;

  void open();
  std::shared_ptr<Plan> make_plan(const MatmulProblem& problem, const MatmulPointers& pointers) const;

  cudaStream_t stream_;
  bool tf32_;
  void* handle_ = nullptr;  // made at the first product: that loads the library's kernels
  Tensor workspace_;        // one for all products, which follow each other on the stream
  std::mutex mutex_;
  AlgorithmCache<Plan> plans_;
};

}  // namespace nabla
