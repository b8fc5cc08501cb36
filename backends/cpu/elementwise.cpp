// Elementwise kernels: one loop, map_elements(), for all of them.
#include "tensor/elementwise.h"

#include <tuple>
#include <utility>

#include "backends/common/convert.h"
#include "backends/cpu/gelu.h"
#include "backends/cpu/strided.h"
#include "tensor/tensor.h"

namespace nabla::cpu {

namespace {

// out[i] = function(in_0[i], in_1[i], ...), where the arrays whose bit is set in `repeated` stand still.
// Arrays are converted to what they are computed in.
template <unsigned repeated, class Out, class... In, class Function, size_t... k>
void map_run(Out* out, int64_t length, const Function& function, std::index_sequence<k...>, const In*... in) {
#pragma omp simd
  for (int64_t i = 0; i < length; ++i) {
    store(out[i], function(static_cast<Compute<In>>(in[(repeated >> k & 1u) != 0 ? 0 : i])...));
  }
}

// The same for any strides.
template <class Out, class... In, class Function, size_t... k>
void map_strided_run(Out* out, int64_t length, const Function& function, std::index_sequence<k...>,
                     const std::array<int64_t, sizeof...(In)>& strides, const In*... in) {
  for (int64_t i = 0; i < length; ++i) {
    store(out[i], function(static_cast<Compute<In>>(in[i * strides[k]])...));
  }
}

// out = function(inputs...) for each element; inputs of any strides and of out's shape, of types In, out
// contiguous. One repeated operand (a bias' scalar, an expanded gradient) is as fast as none.
template <class Out, class... In, class Function, class... Inputs>
void map_elements(const Function& function, const Tensor& out, const Inputs&... inputs) {
  constexpr int count = sizeof...(In);
  constexpr auto all = std::make_index_sequence<count>{};
  const StridedLoop<count> loop = strided_loop<count>(out.shape(), {inputs.strides()...});
  const auto& strides = loop.run_strides();
  unsigned repeated = 0, steady = 0;  // arrays with stride 0, and with stride 0 or 1
  for (int k = 0; k < count; ++k) {
    repeated |= unsigned{strides[k] == 0} << k;
    steady |= unsigned{strides[k] == 0 || strides[k] == 1} << k;
  }
  Out* const target = out.data<Out>();
  const std::tuple<const In*...> sources(inputs.template data<In>()...);
  parallel_for_each_run(loop, [&](int64_t index, const auto& offsets, int64_t length) {
    const auto call = [&]<size_t... k>(std::index_sequence<k...>) {
      const bool fast = steady == (1u << count) - 1;
      if (fast && repeated == 0)
        return map_run<0>(target + index, length, function, all, std::get<k>(sources) + offsets[k]...);
      if constexpr (count > 1) {  // a single repeated operand is not worth the loops it takes to compile
        if (fast && repeated == 1)
          return map_run<1>(target + index, length, function, all, std::get<k>(sources) + offsets[k]...);
        if (fast && repeated == 2)
          return map_run<2>(target + index, length, function, all, std::get<k>(sources) + offsets[k]...);
      }
      map_strided_run(target + index, length, function, all, strides, std::get<k>(sources) + offsets[k]...);
    };
    call(all);
  });
}

}  // namespace

void unary(Unary op, const Tensor& x, UnaryArgs args, const Tensor& y) {
  if (op == Unary::gelu && has_fast_gelu(x.dtype())) return fast_gelu_forward(x.contiguous(), y);
  visit_floating(x.dtype(), [&](auto type) {
    using T = decltype(type);
    visit_unary<Compute<T>>(op, args, [&](auto functor) {
      map_elements<T, T>([functor](auto value) { return functor.value(value); }, y, x);
    });
  });
}

void unary_backward(Unary op, const Tensor& dy, const Tensor& x, const Tensor& y, UnaryArgs args,
                    const Tensor& dx) {
  if (op == Unary::gelu && has_fast_gelu(x.dtype()))
    return fast_gelu_backward(dy.contiguous(), x.contiguous(), dx);
  visit_floating(x.dtype(), [&](auto type) {
    using T = decltype(type);
    visit_unary<Compute<T>>(op, args, [&](auto functor) {
      map_elements<T, T, T, T>(
          [functor](auto gradient, auto in, auto out) { return gradient * functor.derivative(in, out); }, dx,
          dy, x, y);
    });
  });
}

void binary(Binary op, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(out.dtype(), [&](auto type) {
    using T = decltype(type);
    visit_binary(op, [&](auto functor) {
      // An integer division by zero would end the program.
      if constexpr (!std::is_integral_v<T> || !std::is_same_v<decltype(functor), elementwise::Div>) {
        map_elements<T, T, T>(functor, out, a, b);
      } else {
        fail("div: expected a floating dtype, got {}", out.dtype());
      }
    });
  });
}

void compare(Compare op, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(a.dtype(), [&](auto type) {
    using T = decltype(type);
    visit_compare(op, [&](auto functor) { map_elements<uint8_t, T, T>(functor, out, a, b); });
  });
}

void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(out.dtype(), [&](auto type) {
    using T = decltype(type);
    map_elements<T, uint8_t, T, T>([](uint8_t chosen, auto yes, auto no) { return chosen != 0 ? yes : no; },
                                   out, condition, a, b);
  });
}

}  // namespace nabla::cpu
