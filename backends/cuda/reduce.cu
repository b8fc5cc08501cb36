// Sums and maxima of x (outer, n, inner) over n, in two stages: n is cut into pieces of a fixed size, each
// piece becomes one row, then the rows of an outer index become one. The order is fixed, so the result is the
// same from run to run.
#include <limits>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

template <class T>
struct Sum {
  using Partial = std::conditional_t<std::is_integral_v<T>, int64_t, Wide<T>>;
  static __device__ Partial identity() { return 0; }
  __device__ Partial operator()(Partial a, Partial b) const { return a + b; }
};

template <class T>
struct Max {
  using Partial = Compute<T>;
  static __device__ Partial identity() {
    if constexpr (std::is_integral_v<T>)
      return std::numeric_limits<T>::lowest();
    else
      return -std::numeric_limits<Partial>::infinity();
  }
  __device__ Partial operator()(Partial a, Partial b) const { return elementwise::Maximum{}(a, b); }
};

struct Stage {
  int64_t outer, n, inner;
  int64_t piece;  // of n

  int64_t pieces() const { return ceil_divide(n, piece); }
};

template <class Op, class In>
__device__ typename Op::Partial load(const In* in) {
  return static_cast<typename Op::Partial>(static_cast<Compute<In>>(*in));
}

// inner = 1: one block for one piece of one row. To tune: wide loads; several short rows per block.
template <class Op, class In, class Out>
__global__ void reduce_rows_kernel(Stage stage, int64_t pieces, const In* in, Out* out) {
  const int64_t row = blockIdx.x / pieces, begin = blockIdx.x % pieces * stage.piece;
  const int64_t end = begin + stage.piece < stage.n ? begin + stage.piece : stage.n;
  auto result = Op::identity();
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    result = Op{}(result, load<Op>(in + row * stage.n + i));
  }
  result = block_reduce(result, Op{});
  if (threadIdx.x == 0) store(out[blockIdx.x], static_cast<Compute<Out>>(result));
}

// One thread for one column of one piece: neighbours read neighbours. To tune: several rows per block where
// inner is short.
template <class Op, class In, class Out>
__global__ void reduce_columns_kernel(Stage stage, int64_t pieces, const In* in, Out* out) {
  const int64_t count = stage.outer * pieces * stage.inner;
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const int64_t column = i % stage.inner, cell = i / stage.inner;  // cell: (outer, piece)
    const int64_t begin = cell % pieces * stage.piece;
    const int64_t end = begin + stage.piece < stage.n ? begin + stage.piece : stage.n;
    auto result = Op::identity();
    for (int64_t row = begin; row < end; ++row) {
      result = Op{}(result, load<Op>(in + (cell / pieces * stage.n + row) * stage.inner + column));
    }
    store(out[i], static_cast<Compute<Out>>(result));
  }
}

// in (outer, n, inner) -> out (outer, pieces, inner).
template <class Op, class In, class Out>
void run_stage(const Stage& stage, const In* in, Out* out, cudaStream_t stream) {
  const int64_t pieces = stage.pieces();
  if (stage.inner == 1) {
    launch("reduce", stream, stage.outer * pieces, block_threads, 0, reduce_rows_kernel<Op, In, Out>, stage,
           pieces, in, out);
  } else {
    launch("reduce", stream, blocks_for(stage.outer * pieces * stage.inner), block_threads, 0,
           reduce_columns_kernel<Op, In, Out>, stage, pieces, in, out);
  }
}

template <class Op, class T>
void reduce_all(const Tensor& x, const Tensor& out, cudaStream_t stream) {
  using Partial = typename Op::Partial;
  const int64_t n = x.size(1), inner = x.size(2);
  const int64_t piece = inner == 1 ? 8192 : 128;
  const Stage first{x.size(0), n, inner, piece};
  if (first.pieces() == 1) return run_stage<Op>(first, x.data<T>(), out.data<T>(), stream);
  const int64_t rows = first.pieces();
  const Tensor partial = Tensor::empty({x.size(0) * rows * inner}, dtype_of<Partial>(), x.device());
  run_stage<Op>(first, x.data<T>(), partial.data<Partial>(), stream);
  const Stage second{x.size(0), rows, inner, rows};
  run_stage<Op>(second, partial.data<Partial>(), out.data<T>(), stream);
}

// One thread per output. To tune: one block per output for long rows with inner = 1.
template <class T>
__global__ void arg_max_kernel(int64_t count, int64_t n, int64_t inner, const T* x, int64_t* out) {
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const T* column = x + i / inner * n * inner + i % inner;
    int64_t best = 0;
    auto largest = static_cast<Compute<T>>(column[0]);
    // The first NaN wins, as it does in the maximum; after it no comparison is true.
    for (int64_t row = 1; row < n && largest == largest; ++row) {
      const auto value = static_cast<Compute<T>>(column[row * inner]);
      if (value > largest || value != value) {
        largest = value;
        best = row;
      }
    }
    out[i] = best;
  }
}

}  // namespace

void CudaKernels::reduce(Reduce op, const Tensor& x, const Tensor& out) {
  if (out.numel() == 0) return;
  if (x.numel() == 0) return fill(out, 0);  // a sum of nothing
  visit(x.dtype(), [&]<class T>(T) {
    if (op == Reduce::max)
      reduce_all<Max<T>, T>(x, out, stream_);
    else
      reduce_all<Sum<T>, T>(x, out, stream_);
  });
}

void CudaKernels::arg_max(const Tensor& x, const Tensor& out) {
  visit(x.dtype(), [&]<class T>(T) {
    launch("arg_max", stream_, blocks_for(out.numel()), block_threads, 0, arg_max_kernel<T>, out.numel(),
           x.size(1), x.size(2), static_cast<const T*>(x.data<T>()), out.data<int64_t>());
  });
}

}  // namespace nabla
