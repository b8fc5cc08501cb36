// y[b, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[b, c, i * stride + u - padding, ...],
// x being 0 outside; with groups, the outputs of a group see that group's inputs only.
//   x (B, C, H, W), weight (O, C / groups, kh, kw), bias (O) -> y (B, O, H', W')
// Each channel by itself, as a blur is (f32): depthwise.h. Patches that do not overlap (bf16, by AMX): patch_product.h. Other convolutions of f32 and bf16: oneDNN, in layouts of its own choice, with copies from and to ours; a
// few images, or some output channels of one, are one thread's work, so that no sum depends on the number of threads. f64: the
// patches under the kernel are written out as the columns of a matrix (im2col), the rest are products of matrices; per
// image and group  y = weight columns,  dcolumns = weight^T dy,  dweight += dy columns^T.
#include <algorithm>
#include <vector>

#include "backends/cpu/depthwise.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/patch_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

enum class Direction { forward, backward_data, backward_weight };

// The tensors of one call in their forward roles; the output of the direction is written.
struct Convolution {
  Tensor x, weight, bias, y;
  Conv2dArgs args;
};

// --- oneDNN

Shape grouped_weight_shape(const Convolution& c) {
  const Shape& shape = c.weight.shape();
  if (c.args.groups == 1) return shape;
  return {c.args.groups, shape[0] / c.args.groups, shape[1], shape[2], shape[3]};
}

onednn::Program make_program(Direction direction, const Convolution& c) {
  const Dtype dtype = c.x.dtype();
  const onednn::Convolution problem{
      onednn::any_layout(c.x.shape(), dtype), onednn::any_layout(grouped_weight_shape(c), c.weight.dtype()),
      c.bias.defined() ? onednn::layout(c.bias.shape(), dtype) : onednn::Layout(),
      onednn::any_layout(c.y.shape(), dtype), c.args};
  switch (direction) {
    case Direction::forward:
      return onednn::make_convolution(problem);
    case Direction::backward_data:
      return onednn::make_convolution_backward_data(problem);
    case Direction::backward_weight:
      break;
  }
  return onednn::make_convolution_backward_weight(problem);
}

std::shared_ptr<const onednn::Program> find_program(Direction direction, const Convolution& c) {
  static onednn::ProgramCache programs;
  onednn::ProgramCache::Key key{static_cast<int64_t>(direction),
                                static_cast<int64_t>(c.x.dtype()),
                                static_cast<int64_t>(c.weight.dtype()),
                                c.bias.defined(),
                                c.args.stride_y,
                                c.args.stride_x,
                                c.args.padding_y,
                                c.args.padding_x,
                                c.args.groups};
  for (const Tensor& tensor : {c.x, c.weight, c.y}) {
    key.insert(key.end(), tensor.shape().begin(), tensor.shape().end());
  }
  return programs.get(key, [&] { return make_program(direction, c); });
}

void run_program(Direction direction, const Convolution& c, const onednn::Program& program) {
  const bool data = direction == Direction::backward_data, weights = direction == Direction::backward_weight;
  const int x_name = data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
  const int weight_name = weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
  const int y_name = direction == Direction::forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
  const int output = data ? x_name : weights ? weight_name : y_name;

  onednn::Arguments arguments;
  std::vector<Tensor> copies;  // in the program's layouts, where those are not ours
  dnnl::memory result;
  const auto bind = [&](int name, const Tensor& tensor, const Shape& shape) {
    const dnnl::memory ours = onednn::view(tensor, onednn::layout(shape, tensor.dtype()));
    const onednn::Layout wanted = program.layout_of(name);
    if (name == output) result = ours;
    if (wanted == ours.get_desc()) {
      arguments.insert({name, ours});
      return;
    }
    copies.push_back(Tensor::empty({static_cast<int64_t>(wanted.get_size())}, Dtype::u8));
    const dnnl::memory theirs = onednn::view(copies.back(), wanted);
    if (name != output) onednn::reorder(ours, theirs);
    arguments.insert({name, theirs});
  };
  bind(x_name, c.x, c.x.shape());
  bind(weight_name, c.weight, grouped_weight_shape(c));
  bind(y_name, c.y, c.y.shape());
  if (c.bias.defined()) bind(DNNL_ARG_BIAS, c.bias, c.bias.shape());
  program.run(arguments);
  if (arguments.at(output).get_data_handle() != result.get_data_handle()) {
    onednn::reorder(arguments.at(output), result);
  }
}

// The convolution of each piece: of some images, in forward direction also of some output channels of one
// image. Gradients of the weight go to `sums` (pieces, ...).
std::vector<Convolution> cut(Direction direction, const Convolution& c, int64_t images, const Tensor& sums) {
  constexpr int64_t few_images = 8, some_channels = 64;
  const int64_t batch = c.x.size(0), channels = c.weight.size(0);
  const bool cut_channels = direction == Direction::forward && c.args.groups == 1 && batch <= few_images;
  const int64_t step = cut_channels ? some_channels : channels;
  std::vector<Convolution> pieces;
  for (int64_t first = 0; first < batch; first += images) {
    const int64_t end = std::min(first + images, batch);
    const Tensor x = c.x.slice(0, first, end), y = c.y.slice(0, first, end);
    for (int64_t channel = 0; channel < channels; channel += step) {
      const int64_t last = std::min(channel + step, channels);
      const Tensor bias = c.bias.defined() ? c.bias.slice(0, channel, last) : c.bias;
      const Tensor weight =
          sums.defined() ? sums.select(0, first / images) : c.weight.slice(0, channel, last);
      pieces.push_back({x, weight, bias, y.slice(1, channel, last), c.args});
    }
  }
  return pieces;
}

// False where this processor has no kernel for the dtype.
bool run_onednn(Direction direction, const Convolution& c) {
  constexpr int64_t most_pieces = 32;
  const int64_t images = (c.x.size(0) + most_pieces - 1) / most_pieces;
  Tensor sums;
  if (direction == Direction::backward_weight && images < c.x.size(0)) {
    const int64_t count = (c.x.size(0) + images - 1) / images;
    sums = Tensor::empty({count, c.weight.size(0), c.weight.size(1), c.weight.size(2), c.weight.size(3)});
  }
  const std::vector<Convolution> pieces = cut(direction, c, images, sums);
  std::vector<std::shared_ptr<const onednn::Program>> programs;
  for (const Convolution& piece : pieces) {
    programs.push_back(find_program(direction, piece));
    if (!*programs.back()) return false;
  }
  parallel_tasks(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const auto number = static_cast<size_t>(i);
    run_program(direction, pieces[number], *programs[number]);
  });
  if (sums.defined()) {
    const Tensor total = sums.select(0, 0);
    float* sum = total.data<float>();
    for (int64_t piece = 1; piece < sums.size(0); ++piece) {
      const float* more = sums.select(0, piece).data<float>();
#pragma omp simd
      for (int64_t i = 0; i < total.numel(); ++i) sum[i] += more[i];
    }
    c.weight.copy_from(total);
  }
  return true;
}

// --- f64

// One image's group: its planes of x and the matrix (C / groups * kh * kw, H' * W') of the patches.
struct Patches {
  int64_t channels, height, width, kernel_y, kernel_x, out_y, out_x;
  Conv2dArgs args;

  explicit Patches(const Convolution& c)
      : channels(c.weight.size(1)),
        height(c.x.size(2)),
        width(c.x.size(3)),
        kernel_y(c.weight.size(2)),
        kernel_x(c.weight.size(3)),
        out_y(c.y.size(2)),
        out_x(c.y.size(3)),
        args(c.args) {}
  int64_t rows() const { return channels * kernel_y * kernel_x; }
  int64_t columns() const { return out_y * out_x; }

  // Calls visit(index in the matrix, index in the planes) for every element that is not padding.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int64_t row = 0; row < rows(); ++row) {
      const int64_t v = row % kernel_x, u = row / kernel_x % kernel_y, channel = row / kernel_x / kernel_y;
      for (int64_t column = 0; column < columns(); ++column) {
        const int64_t y = column / out_x * args.stride_y + u - args.padding_y;
        const int64_t x = column % out_x * args.stride_x + v - args.padding_x;
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        visit(row * columns() + column, (channel * height + y) * width + x);
      }
    }
  }
};

void run_im2col(Direction direction, const Convolution& c) {
  const Patches patches(c);
  const int64_t batch = c.x.size(0), groups = c.args.groups, outputs = c.weight.size(0) / groups;
  const int64_t rows = patches.rows(), columns = patches.columns();
  const int64_t plane = patches.channels * patches.height * patches.width;
  const Tensor matrix = Tensor::zeros({rows, columns}, Dtype::f64);  // padding stays 0
  double* patch = matrix.data<double>();
  if (direction == Direction::backward_data) c.x.fill(0);
  if (direction == Direction::backward_weight) c.weight.fill(0);
  for (int64_t i = 0; i < batch * groups; ++i) {
    double* x = c.x.data<double>() + i * plane;
    double* y = c.y.data<double>() + i * outputs * columns;
    double* weight = c.weight.data<double>() + i % groups * outputs * rows;
    if (direction == Direction::backward_data) {
      gemm(true, false, rows, columns, outputs, 1.0, weight, rows, y, columns, 0.0, patch, columns);
      patches.for_each([&](int64_t in_matrix, int64_t in_x) { x[in_x] += patch[in_matrix]; });
      continue;
    }
    patches.for_each([&](int64_t in_matrix, int64_t in_x) { patch[in_matrix] = x[in_x]; });
    if (direction == Direction::forward) {
      gemm(false, false, outputs, columns, rows, 1.0, weight, rows, patch, columns, 0.0, y, columns);
    } else {
      gemm(false, true, outputs, rows, columns, 1.0, y, columns, patch, columns, 1.0, weight, rows);
    }
  }
  if (direction != Direction::forward || !c.bias.defined()) return;
  for (int64_t i = 0; i < c.y.numel(); ++i) {
    c.y.data<double>()[i] += c.bias.data<double>()[i / columns % c.weight.size(0)];
  }
}

// --- both

void run(Direction direction, const Convolution& c) {
  const Tensor& out = direction == Direction::forward         ? c.y
                      : direction == Direction::backward_data ? c.x
                                                              : c.weight;
  if (out.numel() == 0) return;
  if (c.x.numel() == 0 || c.weight.numel() == 0 || c.y.numel() == 0) {  // sums of nothing
    out.fill(0);
    if (direction == Direction::forward && c.bias.defined()) {
      out.copy_from(c.bias.reshape({1, c.bias.size(0), 1, 1}).expand(out.shape()));
    }
    return;
  }
  if (out.dtype() == Dtype::f64) {
    run_im2col(direction, c);
  } else if (direction == Direction::forward && has_depthwise(c.x, c.weight, c.args)) {
    depthwise(c.x, c.weight, c.bias, c.args, c.y);
  } else if (direction == Direction::forward && has_patch_product(c.x, c.weight, c.args)) {
    patch_product(c.x, c.weight, c.bias, c.y);
  } else if (!run_onednn(direction, c)) {
    // A processor without bf16 convolutions: they are taken in f32.
    const auto wide = [](const Tensor& tensor) { return tensor.defined() ? tensor.to(Dtype::f32) : tensor; };
    const Convolution converted{wide(c.x), wide(c.weight), wide(c.bias), wide(c.y), c.args};
    check(run_onednn(direction, converted), "conv2d: oneDNN has no kernel for {} and {} here", c.x.shape(),
          c.weight.shape());
    out.copy_from(direction == Direction::forward         ? converted.y
                  : direction == Direction::backward_data ? converted.x
                                                          : converted.weight);
  }
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
            const Tensor& y) {
  run(Direction::forward, {x, weight, bias, y, args});
}

void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dArgs& args, const Tensor& dx) {
  run(Direction::backward_data, {dx, weight, {}, dy, args});
}

void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dArgs& args,
                            const Tensor& dweight) {
  run(Direction::backward_weight, {x, dweight, {}, dy, args});
}

}  // namespace nabla::cpu
