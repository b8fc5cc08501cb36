// y[b, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[b, c, i * stride + u - padding, ...],
// x being 0 outside; with groups, the outputs of a group see that group's inputs only.
//   x (B, C, H, W), weight (O, C / groups, kh, kw), bias (O) -> y (B, O, H', W')
// Where the kernel moves by its own size and nothing is padded (a vision transformer's patches), the
// convolution is one product of matrices. Otherwise each output is summed up by one thread (forward,
// backward_data) or one block (backward_weight), directly by the formula.
#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

struct Geometry {
  int64_t batch, channels, height, width;  // of x; channels of a group
  int64_t outputs, out_height, out_width;  // of y; outputs of a group
  int64_t kernel_y, kernel_x;
  Conv2dArgs args;

  Geometry(const Tensor& x, const Tensor& weight, const Tensor& y, const Conv2dArgs& args)
      : batch(x.size(0)),
        channels(weight.size(1)),
        height(x.size(2)),
        width(x.size(3)),
        outputs(weight.size(0) / args.groups),
        out_height(y.size(2)),
        out_width(y.size(3)),
        kernel_y(weight.size(2)),
        kernel_x(weight.size(3)),
        args(args) {}

  __device__ int64_t x_at(int64_t b, int64_t group, int64_t c, int64_t y, int64_t x) const {
    return (((b * args.groups + group) * channels + c) * height + y) * width + x;
  }
  __device__ int64_t y_at(int64_t b, int64_t group, int64_t o, int64_t i, int64_t j) const {
    return (((b * args.groups + group) * outputs + o) * out_height + i) * out_width + j;
  }
  __device__ int64_t weight_at(int64_t group, int64_t o, int64_t c, int64_t u, int64_t v) const {
    return (((group * outputs + o) * channels + c) * kernel_y + u) * kernel_x + v;
  }
  __device__ bool inside(int64_t y, int64_t x) const { return y >= 0 && y < height && x >= 0 && x < width; }
};

// One thread per output. To tune: im2col and cuBLASLt; separable kernels (a blur) as two passes.
template <class T>
__global__ void conv2d_forward_kernel(Geometry g, int64_t count, const T* x, const T* weight, const T* bias,
                                      T* y) {
  for (int64_t at = first_index(); at < count; at += index_step()) {
    const int64_t j = at % g.out_width, i = at / g.out_width % g.out_height;
    const int64_t plane = at / g.out_width / g.out_height;  // (b, group, o)
    const int64_t o = plane % g.outputs, group = plane / g.outputs % g.args.groups;
    const int64_t b = plane / g.outputs / g.args.groups;
    float sum = 0;
    for (int64_t c = 0; c < g.channels; ++c) {
      for (int64_t u = 0; u < g.kernel_y; ++u) {
        for (int64_t v = 0; v < g.kernel_x; ++v) {
          const int64_t row = i * g.args.stride_y + u - g.args.padding_y;
          const int64_t column = j * g.args.stride_x + v - g.args.padding_x;
          if (!g.inside(row, column)) continue;
          sum += static_cast<float>(weight[g.weight_at(group, o, c, u, v)]) *
                 static_cast<float>(x[g.x_at(b, group, c, row, column)]);
        }
      }
    }
    if (bias) sum += static_cast<float>(bias[group * g.outputs + o]);
    store(y[at], sum);
  }
}

// One thread per input: the outputs it contributes to. To tune: as above.
template <class T>
__global__ void data_kernel(Geometry g, int64_t count, const T* dy, const T* weight, T* dx) {
  for (int64_t at = first_index(); at < count; at += index_step()) {
    const int64_t column = at % g.width, row = at / g.width % g.height;
    const int64_t plane = at / g.width / g.height;  // (b, group, c)
    const int64_t c = plane % g.channels, group = plane / g.channels % g.args.groups;
    const int64_t b = plane / g.channels / g.args.groups;
    float sum = 0;
    for (int64_t u = 0; u < g.kernel_y; ++u) {
      for (int64_t v = 0; v < g.kernel_x; ++v) {
        const int64_t y = row + g.args.padding_y - u, x = column + g.args.padding_x - v;
        if (y < 0 || x < 0 || y % g.args.stride_y != 0 || x % g.args.stride_x != 0) continue;
        const int64_t i = y / g.args.stride_y, j = x / g.args.stride_x;
        if (i >= g.out_height || j >= g.out_width) continue;
        for (int64_t o = 0; o < g.outputs; ++o) {
          sum += static_cast<float>(weight[g.weight_at(group, o, c, u, v)]) *
                 static_cast<float>(dy[g.y_at(b, group, o, i, j)]);
        }
      }
    }
    store(dx[at], sum);
  }
}

// One block per element of the weight: the sum over all images and positions. To tune: as above.
template <class T>
__global__ void conv2d_weight_kernel(Geometry g, const T* dy, const T* x, T* dweight) {
  const int64_t at = blockIdx.x;
  const int64_t v = at % g.kernel_x, u = at / g.kernel_x % g.kernel_y;
  const int64_t c = at / g.kernel_x / g.kernel_y % g.channels;
  const int64_t output = at / g.kernel_x / g.kernel_y / g.channels;
  const int64_t o = output % g.outputs, group = output / g.outputs;
  float sum = 0;
  for (int64_t place = threadIdx.x; place < g.batch * g.out_height * g.out_width; place += blockDim.x) {
    const int64_t j = place % g.out_width, i = place / g.out_width % g.out_height;
    const int64_t b = place / g.out_width / g.out_height;
    const int64_t row = i * g.args.stride_y + u - g.args.padding_y;
    const int64_t column = j * g.args.stride_x + v - g.args.padding_x;
    if (!g.inside(row, column)) continue;
    sum += static_cast<float>(dy[g.y_at(b, group, o, i, j)]) *
           static_cast<float>(x[g.x_at(b, group, c, row, column)]);
  }
  sum = block_reduce(sum, elementwise::Add{});
  if (threadIdx.x == 0) store(dweight[at], sum);
}

}  // namespace

// False, and nothing done, where the patches overlap or leave gaps.
bool CudaKernels::conv2d_as_matmul(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                   const Conv2dArgs& args, const Tensor& y) {
  const int64_t kernel_y = weight.size(2), kernel_x = weight.size(3), rows = y.size(2), columns = y.size(3);
  if (args.groups != 1 || args.padding_y != 0 || args.padding_x != 0 || args.stride_y != kernel_y ||
      args.stride_x != kernel_x || rows * kernel_y != x.size(2) || columns * kernel_x != x.size(3)) {
    return false;
  }
  const int64_t batch = x.size(0), channels = x.size(1), outputs = weight.size(0);
  const Tensor patches = x.reshape({batch, channels, rows, kernel_y, columns, kernel_x})
                             .permute({0, 2, 4, 1, 3, 5})
                             .contiguous()
                             .reshape({1, batch * rows * columns, channels * kernel_y * kernel_x});
  const Tensor product = Tensor::empty({1, batch * rows * columns, outputs}, x.dtype(), device());
  Epilogue epilogue;
  epilogue.bias = bias;
  matmul(patches, false, weight.reshape({1, outputs, channels * kernel_y * kernel_x}), true, product,
         epilogue);
  copy(product.reshape({batch, rows, columns, outputs}).permute({0, 3, 1, 2}), y);
  return true;
}

void CudaKernels::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
                         const Tensor& y) {
  if (y.numel() == 0) return;
  if (x.numel() > 0 && weight.numel() > 0 && conv2d_as_matmul(x, weight, bias, args, y)) return;
  visit_computed("conv2d", x.dtype(), [&]<class T>(T) {
    launch("conv2d", stream_, blocks_for(y.numel()), block_threads, 0, conv2d_forward_kernel<T>,
           Geometry(x, weight, y, args), y.numel(), x.data<T>(), weight.data<T>(),
           bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  });
}

void CudaKernels::conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dArgs& args,
                                       const Tensor& dx) {
  visit_computed("conv2d_backward_data", dx.dtype(), [&]<class T>(T) {
    launch("conv2d_backward_data", stream_, blocks_for(dx.numel()), block_threads, 0, data_kernel<T>,
           Geometry(dx, weight, dy, args), dx.numel(), dy.data<T>(), weight.data<T>(), dx.data<T>());
  });
}

void CudaKernels::conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dArgs& args,
                                         const Tensor& dweight) {
  visit_computed("conv2d_backward_weight", x.dtype(), [&]<class T>(T) {
    launch("conv2d_backward_weight", stream_, dweight.numel(), block_threads, 0, conv2d_weight_kernel<T>,
           Geometry(x, dweight, dy, args), dy.data<T>(), x.data<T>(), dweight.data<T>());
  });
}

}  // namespace nabla
