// Elementwise kernels: one loop, map_kernel(), for all of them.
#include <utility>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

template <class Functor>
struct ValueOf {
  Functor functor;
  template <class T>
  __device__ T operator()(T x) const {
    return functor.value(x);
  }
};

template <class Functor>
struct GradientOf {
  Functor functor;
  template <class T>
  __device__ T operator()(T dy, T x, T y) const {
    return dy * functor.derivative(x, y);
  }
};

struct Choose {
  template <class T>
  __device__ T operator()(uint8_t chosen, T yes, T no) const {
    return chosen != 0 ? yes : no;
  }
};

// out[i] = function(in_0[i], in_1[i], ...), each input at its own offset. To tune: 16 bytes per load where
// everything is contiguous.

template <class Out, class Function, class... In, size_t... k>
__device__ void map_one(const Function& function, Out* out, int64_t i, const StridedLoop<sizeof...(In)>& loop,
                        std::index_sequence<k...>, const In*... in) {
  const auto at = offsets_of(loop, i);
  store(out[i], function(static_cast<Compute<In>>(in[at[k]])...));
}

template <class Out, class Function, class... In>
__global__ void map_kernel(StridedLoop<sizeof...(In)> loop, Function function, Out* out, const In*... in) {
  for (int64_t i = first_index(); i < loop.numel; i += index_step()) {
    map_one(function, out, i, loop, std::make_index_sequence<sizeof...(In)>{}, in...);
  }
}

// out = function(inputs...) for each element; inputs of any strides and of out's shape, of types
// In, out contiguous.
template <class Out, class... In, class Function, class... Inputs>
void map_elements(const char* op, cudaStream_t stream, const Function& function, const Tensor& out,
                  const Inputs&... inputs) {
  const auto loop = strided_loop<sizeof...(In)>(out.shape(), {inputs.strides()...});
  launch(op, stream, blocks_for(loop.numel), block_threads, 0, map_kernel<Out, Function, In...>, loop,
         function, out.data<Out>(), static_cast<const In*>(inputs.template data<In>())...);
}

}  // namespace

void CudaKernels::unary(Unary op, const Tensor& x, UnaryArgs args, const Tensor& y) {
  visit_computed("unary", x.dtype(), [&]<class T>(T) {
    visit_unary<Compute<T>>(op, args, [&]<class Functor>(Functor functor) {
      map_elements<T, T>("unary", stream_, ValueOf<Functor>{functor}, y, x);
    });
  });
}

void CudaKernels::unary_backward(Unary op, const Tensor& dy, const Tensor& x, const Tensor& y, UnaryArgs args,
                                 const Tensor& dx) {
  visit_computed("unary_backward", x.dtype(), [&]<class T>(T) {
    visit_unary<Compute<T>>(op, args, [&]<class Functor>(Functor functor) {
      map_elements<T, T, T, T>("unary_backward", stream_, GradientOf<Functor>{functor}, dx, dy, x, y);
    });
  });
}

void CudaKernels::binary(Binary op, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(out.dtype(), [&]<class T>(T) {
    visit_binary(op, [&]<class Functor>(Functor functor) {
      if constexpr (!std::is_integral_v<T> || !std::is_same_v<Functor, elementwise::Div>) {
        map_elements<T, T, T>("binary", stream_, functor, out, a, b);
      } else {
        fail("div: expected a floating dtype, got {}", out.dtype());
      }
    });
  });
}

void CudaKernels::compare(Compare op, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(a.dtype(), [&]<class T>(T) {
    visit_compare(op,
                  [&](auto functor) { map_elements<uint8_t, T, T>("compare", stream_, functor, out, a, b); });
  });
}

void CudaKernels::where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  visit(out.dtype(), [&]<class T>(T) {
    map_elements<T, uint8_t, T, T>("where", stream_, Choose{}, out, condition, a, b);
  });
}

}  // namespace nabla
