// Over the rows of a and b (rows, n): cos = a . b / (ca cb) with ca = max(|a|, eps), cb = max(|b|, eps).
// Backward, as torch.nn.functional.cosine_similarity has it: the clamp is not part of the derivative, so the
// norm is differentiated even where it is clamped (and 0 / 0 in a row of zeros counts as 0):
//   da = dcos * (b / (ca cb) - cos / ca * a / |a|),  db likewise.
// The three sums are taken in f64: a distance 1 - cos near 0 is a small difference, and rows are long.
#include "backends/common/convert.h"
#include "backends/common/cosine.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

constexpr int64_t row_piece = 8192;  // of a row, for one block

struct Sums {
  double dot = 0, square_a = 0, square_b = 0;

  __device__ void add(const Sums& other) {
    dot += other.dot;
    square_a += other.square_a;
    square_b += other.square_b;
  }
};

// Of all threads of a block.
__device__ inline Sums sum_of_block(const Sums& own) {
  const elementwise::Add add;
  return {block_reduce(own.dot, add), block_reduce(own.square_a, add), block_reduce(own.square_b, add)};
}

// a . b, a . a and b . b over n elements, by all threads of a block.
template <class T>
__device__ Sums measure(const T* a, const T* b, int64_t n) {
  Sums sums;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const double x = static_cast<float>(a[i]), y = static_cast<float>(b[i]);
    sums.add({x * y, x * x, y * y});
  }
  return sum_of_block(sums);
}

// The rows of a and b (rows, n), of which each is cut into `pieces`. `partial` (rows, pieces): the pieces' sums; null where
// a row is one piece.
template <class T>
struct Rows {
  const T *a, *b;
  int64_t n, pieces;
  double eps;
  Sums* partial;

  // By all threads of a block.
  __device__ Cosine cosine(int64_t row) const {
    Sums sums;
    if (partial) {
      for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) sums.add(partial[row * pieces + i]);
      sums = sum_of_block(sums);
    } else {
      sums = measure(a + row * n, b + row * n, n);
    }
    Cosine c{0, sqrt(sums.square_a), sqrt(sums.square_b), 0, 0};
    c.clamped_a = c.norm_a < eps ? eps : c.norm_a;
    c.clamped_b = c.norm_b < eps ? eps : c.norm_b;
    c.value = sums.dot / c.clamped_a / c.clamped_b;
    return c;
  }
};

// What the block of this index has of its row.
struct Part {
  int64_t row, begin, count;

  __device__ Part(int64_t n, int64_t pieces)
      : row(blockIdx.x / pieces), begin(pieces == 1 ? 0 : blockIdx.x % pieces * row_piece), count(n - begin) {
    if (pieces > 1 && count > row_piece) count = row_piece;
  }
};

template <class T>
__global__ void cosine_sums_kernel(Rows<T> x) {
  const Part part(x.n, x.pieces);
  const int64_t begin = part.row * x.n + part.begin;
  const Sums sums = measure(x.a + begin, x.b + begin, part.count);
  if (threadIdx.x == 0) x.partial[blockIdx.x] = sums;
}

// One block per row. To tune: short rows by a warp; the distance, its mining threshold and the loss in one kernel.
template <class T>
__global__ void cosine_similarity_forward_kernel(Rows<T> x, T* out) {
  const Cosine c = x.cosine(blockIdx.x);
  if (threadIdx.x == 0) store(out[blockIdx.x], static_cast<float>(c.value));
}

// One row's gradient, computed in C, by all threads of a block.
template <class C, class T>
__device__ void combine(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  const C f = static_cast<C>(factors.own), g = static_cast<C>(factors.other);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    store(dx[i],
          g * static_cast<C>(static_cast<float>(other[i])) + f * static_cast<C>(static_cast<float>(own[i])));
  }
}

template <class T>
__device__ void gradient(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  if (factors_fit<float>(factors))
    combine<float>(own, other, factors, n, dx);
  else
    combine<double>(own, other, factors, n, dx);
}

// One block per piece; da or db may be null. To tune: the sums are those of the forward pass and could be kept.
template <class T>
__global__ void cosine_similarity_backward_kernel(const T* dout, Rows<T> x, T* da, T* db) {
  const Part part(x.n, x.pieces);
  const int64_t begin = part.row * x.n + part.begin;
  const T *a = x.a + begin, *b = x.b + begin;
  const Cosine c = x.cosine(part.row);
  const double dcos = static_cast<float>(dout[part.row]);
  if (da) gradient(a, b, cosine_factors(dcos, c, c.norm_a, c.clamped_a), part.count, da + begin);
  if (db) gradient(b, a, cosine_factors(dcos, c, c.norm_b, c.clamped_b), part.count, db + begin);
}

// Rows of more than one piece are measured by as many blocks: the loss has as many rows as a batch has images, and a GPU has
// more multiprocessors than that.
template <class T>
Rows<T> measured(const char* op, const Tensor& a, const Tensor& b, double eps, const Tensor& partial,
                 cudaStream_t stream) {
  Rows<T> rows{a.data<T>(), b.data<T>(), a.size(1), 1, eps, nullptr};
  if (!partial.defined()) return rows;
  rows.pieces = partial.size(1);
  rows.partial = static_cast<Sums*>(partial.raw_data());
  launch(op, stream, partial.size(0) * partial.size(1), block_threads, 0, cosine_sums_kernel<T>, rows);
  return rows;
}

// Room for the pieces' sums; undefined where a row is one piece.
Tensor partial_sums(const Tensor& a) {
  const int64_t pieces = ceil_divide(a.size(1), row_piece);
  return pieces > 1 ? Tensor::empty({a.size(0), pieces, 3}, Dtype::f64, a.device()) : Tensor();
}

}  // namespace

void CudaKernels::cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) {
  const char* op = "cosine_similarity";
  const Tensor partial = partial_sums(a);
  visit_computed(op, a.dtype(), [&]<class T>(T) {
    const Rows<T> rows = measured<T>(op, a, b, eps, partial, stream_);
    launch(op, stream_, a.size(0), block_threads, 0, cosine_similarity_forward_kernel<T>, rows,
           out.data<T>());
  });
}

void CudaKernels::cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                             const Tensor& da, const Tensor& db) {
  const char* op = "cosine_similarity_backward";
  const Tensor partial = partial_sums(a);
  visit_computed(op, a.dtype(), [&]<class T>(T) {
    const Rows<T> rows = measured<T>(op, a, b, eps, partial, stream_);
    launch(op, stream_, a.size(0) * rows.pieces, block_threads, 0, cosine_similarity_backward_kernel<T>,
           dout.data<T>(), rows, da.defined() ? da.data<T>() : nullptr,
           db.defined() ? db.data<T>() : nullptr);
  });
}

}  // namespace nabla
