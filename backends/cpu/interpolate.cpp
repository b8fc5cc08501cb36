// Resampling is separable: each output row is a weighted sum of input rows (one streaming pass), of which
// each output then takes a weighted sum of neighbours. Backward runs the same steps transposed.
#include "backends/common/interpolate.h"

#include <algorithm>
#include <vector>

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

struct Plan {
  int taps;
  int64_t in_height, in_width, out_height, out_width;
  std::vector<InterpolationTaps> rows, columns;  // per output row and column
};

std::vector<InterpolationTaps> axis_taps(const InterpolateArgs& args, double scale, int64_t m, int64_t n) {
  const InterpolateAxis axis = InterpolateAxis::make(args, scale, m, n);
  std::vector<InterpolationTaps> taps;
  for (int64_t i = 0; i < n; ++i) taps.push_back(interpolation_taps(axis, i));
  return taps;
}

Plan plan_for(const InterpolateArgs& args, const Tensor& in, const Tensor& out) {
  return {interpolation_taps(args.mode),
          in.size(1),
          in.size(2),
          out.size(1),
          out.size(2),
          axis_taps(args, args.scale_y, in.size(1), out.size(1)),
          axis_taps(args, args.scale_x, in.size(2), out.size(2))};
}

// One output row from its plane; `row` is scratch of in_width.
template <class T>
void forward_row(const Plan& plan, int64_t y, const T* plane, Wide<T>* row, T* out) {
  using W = Wide<T>;
  const InterpolationTaps& vertical = plan.rows[static_cast<size_t>(y)];
  for (int k = 0; k < plan.taps; ++k) {
    const T* source = plane + vertical.index[k] * plan.in_width;
    const W weight = static_cast<W>(vertical.weight[k]);
#pragma omp simd
    for (int64_t x = 0; x < plan.in_width; ++x) {
      row[x] = (k == 0 ? W(0) : row[x]) + weight * static_cast<W>(source[x]);
    }
  }
  for (int64_t x = 0; x < plan.out_width; ++x) {
    const InterpolationTaps& taps = plan.columns[static_cast<size_t>(x)];
    W sum = 0;
    for (int k = 0; k < plan.taps; ++k) sum += static_cast<W>(taps.weight[k]) * row[taps.index[k]];
    out[x] = static_cast<T>(sum);
  }
}

// Adds one output row's gradient to its plane's.
template <class T>
void backward_row(const Plan& plan, int64_t y, const T* dout, Wide<T>* row, Wide<T>* plane) {
  using W = Wide<T>;
  std::fill_n(row, plan.in_width, W(0));
  for (int64_t x = 0; x < plan.out_width; ++x) {
    const InterpolationTaps& taps = plan.columns[static_cast<size_t>(x)];
    for (int k = 0; k < plan.taps; ++k)
      row[taps.index[k]] += static_cast<W>(taps.weight[k]) * static_cast<W>(dout[x]);
  }
  const InterpolationTaps& vertical = plan.rows[static_cast<size_t>(y)];
  for (int k = 0; k < plan.taps; ++k) {
    W* target = plane + vertical.index[k] * plan.in_width;
    const W weight = static_cast<W>(vertical.weight[k]);
#pragma omp simd
    for (int64_t x = 0; x < plan.in_width; ++x) target[x] += weight * row[x];
  }
}

}  // namespace

void interpolate(const Tensor& x, const InterpolateArgs& args, const Tensor& y) {
  if (y.numel() == 0) return;
  const Plan plan = plan_for(args, x, y);
  visit_floating(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* source = x.data<T>();
    T* target = y.data<T>();
    const int64_t work = plan.taps * (plan.in_width + plan.out_width);
    parallel_for(x.size(0) * plan.out_height, row_grain(work), [&](int64_t begin, int64_t end) {
      std::vector<Wide<T>> row(static_cast<size_t>(plan.in_width));
      for (int64_t i = begin; i < end; ++i) {
        const T* plane = source + i / plan.out_height * plan.in_height * plan.in_width;
        forward_row(plan, i % plan.out_height, plane, row.data(), target + i * plan.out_width);
      }
    });
  });
}

void interpolate_backward(const Tensor& dy, const InterpolateArgs& args, const Tensor& dx) {
  if (dx.numel() == 0) return;
  const Plan plan = plan_for(args, dx, dy);
  visit_floating(dy.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* source = dy.data<T>();
    T* target = dx.data<T>();
    const int64_t in_size = plan.in_height * plan.in_width, out_size = plan.out_height * plan.out_width;
    parallel_for(dx.size(0), row_grain(in_size + plan.taps * out_size), [&](int64_t begin, int64_t end) {
      std::vector<Wide<T>> row(static_cast<size_t>(plan.in_width)), plane(static_cast<size_t>(in_size));
      for (int64_t i = begin; i < end; ++i) {
        std::fill(plane.begin(), plane.end(), Wide<T>(0));
        for (int64_t y = 0; y < plan.out_height; ++y) {
          backward_row(plan, y, source + i * out_size + y * plan.out_width, row.data(), plane.data());
        }
        for (int64_t j = 0; j < in_size; ++j)
          target[i * in_size + j] = static_cast<T>(plane[static_cast<size_t>(j)]);
      }
    });
  });
}

}  // namespace nabla::cpu
