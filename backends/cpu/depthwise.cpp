#include "backends/cpu/depthwise.h"

#include <algorithm>

#include "tensor/threads.h"

namespace nabla {

namespace {

struct Filter {
  const float* weight;
  int64_t height, width;
  float bias;
};

// Row i of y (out_width elements) from one plane x (height, width): the filter's elements one after the other, each for the
// whole row.
void filter_row(const float* x, int64_t height, int64_t width, const Filter& filter, const Conv2dArgs& args,
                int64_t i, int64_t out_width, float* y) {
  std::fill_n(y, out_width, filter.bias);
  for (int64_t u = 0; u < filter.height; ++u) {
    const int64_t row = i + u - args.padding_y;
    if (row < 0 || row >= height) continue;
    const float* const from = x + row * width;
    for (int64_t v = 0; v < filter.width; ++v) {
      const int64_t shift = v - args.padding_x, end = std::min(out_width, width - shift);
      const float factor = filter.weight[u * filter.width + v];
#pragma omp simd
      for (int64_t j = std::max(int64_t{0}, -shift); j < end; ++j) y[j] += factor * from[j + shift];
    }
  }
}

}  // namespace

bool has_depthwise(const Tensor& x, const Tensor& weight, const Conv2dArgs& args) {
  constexpr int64_t most_taps = 64, least_width = 64;
  const int64_t channels = x.size(1);
  return x.dtype() == Dtype::f32 && weight.dtype() == Dtype::f32 && args.groups == channels &&
         weight.size(0) == channels && args.stride_y == 1 && args.stride_x == 1 &&
         weight.size(2) * weight.size(3) <= most_taps && x.size(3) >= least_width;
}

void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
               const Tensor& y) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t rows = y.size(2), out_width = y.size(3), taps = weight.size(2) * weight.size(3);
  parallel_for(x.size(0) * channels * rows, row_grain(out_width * taps), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t plane = row / rows, channel = plane % channels;
      const Filter filter{weight.data<float>() + channel * taps, weight.size(2), weight.size(3),
                          bias.defined() ? bias.data<float>()[channel] : 0.0f};
      filter_row(x.data<float>() + plane * height * width, height, width, filter, args, row % rows, out_width,
                 y.data<float>() + row * out_width);
    }
  });
}

}  // namespace nabla
