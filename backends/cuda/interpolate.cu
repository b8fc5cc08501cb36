// Resampling is separable: each output is a weighted sum of columns of weighted sums of rows. Backward: with
// the weights as matrices, rows (H', H) and columns (W', W), it is dx = rows^T dy columns.
#include "backends/common/convert.h"
#include "backends/common/interpolate.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"

namespace nabla {

namespace {

// One thread per output. Unrolled to a known length, a loop leaves its taps in registers. To tune: the taps of rows and
// columns from a table, not computed for each output.
template <class T>
__global__ void interpolate_forward_kernel(InterpolateAxis rows, InterpolateAxis columns, int64_t count,
                                           const T* x, T* y) {
  const int taps = interpolation_taps(rows.mode);
  for (int64_t at = first_index(); at < count; at += index_step()) {
    const InterpolationTaps across = interpolation_taps(columns, at % columns.n);
    const InterpolationTaps down = interpolation_taps(rows, at / columns.n % rows.n);
    const T* plane = x + at / columns.n / rows.n * rows.m * columns.m;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < most_interpolation_taps; ++k) {
      if (k >= taps) break;
      float column = 0;
#pragma unroll
      for (int l = 0; l < most_interpolation_taps; ++l) {
        if (l >= taps) break;
        column += static_cast<float>(down.weight[l]) *
                  static_cast<float>(plane[down.index[l] * columns.m + across.index[k]]);
      }
      sum += static_cast<float>(across.weight[k]) * column;
    }
    store(y[at], sum);
  }
}

// weights (n, m), cleared before: what each output of the axis takes from each input.
__global__ void interpolate_weight_kernel(InterpolateAxis axis, float* weights) {
  const int taps = interpolation_taps(axis.mode);
  for (int64_t i = first_index(); i < axis.n; i += index_step()) {
    const InterpolationTaps found = interpolation_taps(axis, i);
#pragma unroll
    for (int k = 0; k < most_interpolation_taps; ++k) {
      if (k >= taps) break;
      weights[i * axis.m + found.index[k]] += static_cast<float>(found.weight[k]);
    }
  }
}

Tensor weight_matrix(const InterpolateAxis& axis, Device device, cudaStream_t stream) {
  const Tensor weights = Tensor::zeros({1, axis.n, axis.m}, Dtype::f32, device);
  launch("interpolate_backward", stream, blocks_for(axis.n), block_threads, 0, interpolate_weight_kernel,
         axis, weights.data<float>());
  return weights;
}

}  // namespace

void CudaKernels::interpolate(const Tensor& x, const InterpolateArgs& args, const Tensor& y) {
  if (y.numel() == 0) return;
  const InterpolateAxis rows = InterpolateAxis::make(args, args.scale_y, x.size(1), y.size(1));
  const InterpolateAxis columns = InterpolateAxis::make(args, args.scale_x, x.size(2), y.size(2));
  visit_computed("interpolate", x.dtype(), [&]<class T>(T) {
    launch("interpolate", stream_, blocks_for(y.numel()), block_threads, 0, interpolate_forward_kernel<T>,
           rows, columns, y.numel(), x.data<T>(), y.data<T>());
  });
}

// To tune: the matrices are almost empty; but no training step of Dinomaly uses this.
void CudaKernels::interpolate_backward(const Tensor& dy, const InterpolateArgs& args, const Tensor& dx) {
  if (dx.numel() == 0) return;
  if (dy.numel() == 0) return fill(dx, 0);
  const int64_t planes = dx.size(0), height = dx.size(1), width = dx.size(2);
  const int64_t out_height = dy.size(1), out_width = dy.size(2);
  const Tensor rows =
      weight_matrix(InterpolateAxis::make(args, args.scale_y, height, out_height), device(), stream_);
  const Tensor columns =
      weight_matrix(InterpolateAxis::make(args, args.scale_x, width, out_width), device(), stream_);
  const Tensor narrow = Tensor::empty({planes, out_height, width}, Dtype::f32, device());
  const Tensor result = Tensor::empty({planes, height, width}, Dtype::f32, device());
  matmul(dy.to(Dtype::f32), false, columns, false, narrow);
  matmul(rows, true, narrow, false, result);
  copy(result, dx);
}

}  // namespace nabla
