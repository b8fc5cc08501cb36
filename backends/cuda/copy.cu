// copy and fill: any strides, any dtypes, within a GPU and between it and the host.
#include <algorithm>
#include <numeric>
#include <vector>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"

namespace nabla {

namespace {

using CopyLoop = StridedLoop<2>;  // array 0 is written, array 1 read

// The loop over both tensors with axes in the order of the written one's memory.
CopyLoop copy_loop(const Tensor& from, const Tensor& to) {
  std::vector<int> axes(static_cast<size_t>(to.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) { return to.strides()[a] > to.strides()[b]; });
  const Tensor source = from.permute(axes), target = to.permute(axes);
  return strided_loop<2>(target.shape(), {target.strides(), source.strides()});
}

// To tune: transpositions by tiles in shared memory, so that reads are coalesced too; several elements per
// thread where both sides are contiguous.
template <class From, class To>
__global__ void copy_kernel(CopyLoop loop, const From* from, To* to) {
  for (int64_t i = first_index(); i < loop.numel; i += index_step()) {
    const auto at = offsets_of(loop, i);
    store(to[at[0]], static_cast<Compute<From>>(from[at[1]]));
  }
}

// To tune: cudaMemsetAsync for zeros.
template <class T>
__global__ void fill_kernel(StridedLoop<1> loop, T value, T* out) {
  for (int64_t i = first_index(); i < loop.numel; i += index_step()) out[offsets_of(loop, i)[0]] = value;
}

void copy_on_device(const Tensor& from, const Tensor& to, cudaStream_t stream) {
  if (from.dtype() == to.dtype() && from.is_contiguous() && to.is_contiguous()) {
    check_cuda(cudaMemcpyAsync(to.raw_data(), from.raw_data(), to.bytes(), cudaMemcpyDeviceToDevice, stream),
               "copy");
    return;
  }
  const CopyLoop loop = copy_loop(from, to);
  visit(from.dtype(), [&]<class From>(From) {
    visit(to.dtype(), [&]<class To>(To) {
      launch("copy", stream, blocks_for(loop.numel), block_threads, 0, copy_kernel<From, To>, loop,
             from.data<From>(), to.data<To>());
    });
  });
}

}  // namespace

void CudaKernels::copy(const Tensor& from, const Tensor& to) {
  if (to.numel() == 0) return;
  const bool from_here = from.device() == device(), to_here = to.device() == device();
  if (from_here && to_here) {
    copy_on_device(from, to, stream_);
  } else if (from.device().is_cpu()) {
    check(recording_ == nullptr, "copy: recorded work takes nothing from the host");
    // The CPU converts, so that the transferred bytes are dense and of the final dtype.
    const Tensor dense = from.to(to.dtype()).contiguous();
    const Tensor target = to.is_contiguous() ? to : Tensor::empty(to.shape(), to.dtype(), device());
    staging_.to_device(dense.raw_data(), target.raw_data(), target.bytes());
    if (!to.is_contiguous()) copy_on_device(target, to, stream_);
  } else if (to.device().is_cpu()) {
    const Tensor dense = from.contiguous();
    const bool direct = to.dtype() == from.dtype() && to.is_contiguous();
    const Tensor target = direct ? to : Tensor::empty(to.shape(), from.dtype());
    check_cuda(
        cudaMemcpyAsync(target.raw_data(), dense.raw_data(), dense.bytes(), cudaMemcpyDeviceToHost, stream_),
        "copy");
    synchronize();  // the host reads the elements next
    if (!direct) to.copy_from(target);
  } else {
    to.copy_from(from.to(Device::cpu()));  // from another GPU
  }
}

void CudaKernels::fill(const Tensor& out, double value) {
  const StridedLoop<1> loop = strided_loop<1>(out.shape(), {out.strides()});
  visit(out.dtype(), [&]<class T>(T) {
    launch("fill", stream_, blocks_for(loop.numel), block_threads, 0, fill_kernel<T>, loop,
           static_cast<T>(value), out.data<T>());
  });
}

}  // namespace nabla
