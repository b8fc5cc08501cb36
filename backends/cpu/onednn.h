// A thin cover over oneDNN, and the one place that knows which version is installed: 2.6 (operation
// descriptors) or 3.x (none). A Program is a primitive compiled for fixed shapes, dtypes and layouts; making
// one takes milliseconds (machine code is generated), so a ProgramCache keeps them. Programs are made for one
// thread and run on the calling one: oneDNN chooses by the number of threads how it adds up. Who has much to
// do runs many at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "tensor/kernel_args.h"

namespace nabla::onednn {

using Layout = dnnl::memory::desc;
using Arguments = std::unordered_map<int, dnnl::memory>;  // keys: DNNL_ARG_SRC and so on

// From now on oneDNN uses no better instructions than the kernels of this level. Only before its first use.
void keep_to_level();

// Whether the processor multiplies whole tiles of bf16 (AMX), and oneDNN with it.
bool multiplies_tiles();

// The CPU engine of the process.
const dnnl::engine& engine();

// Row-major layout of `shape`; with `strides`, those.
Layout layout(const Shape& shape, Dtype dtype);
Layout layout(const Shape& shape, Dtype dtype, const Strides& strides);
// The layout is left to the primitive that gets it.
Layout any_layout(const Shape& shape, Dtype dtype);

// The tensor's memory from element `offset` on, seen in `layout`.
dnnl::memory view(const Tensor& tensor, const Layout& layout, int64_t offset = 0);
// Copies between layouts and dtypes.
void reorder(const dnnl::memory& from, const dnnl::memory& to);

class Program {
 public:
  // Without a kernel for this problem on this processor (bf16 before AVX-512): false.
  Program() = default;
  explicit operator bool() const { return static_cast<bool>(primitive_); }

  // The layout in which the primitive expects argument DNNL_ARG_*.
  Layout layout_of(int argument) const { return description_.query_md(dnnl::query::exec_arg_md, argument); }
  // Runs and waits. Scratch memory comes from the CPU's allocator, so any thread may run it at any time.
  void run(Arguments arguments) const;

 private:
  template <class Primitive>
  friend Program compile(const typename Primitive::primitive_desc& description);

  dnnl::primitive_desc_base description_;
  dnnl::primitive primitive_;
};

// Attributes for the make_ functions below: the caller gives the scratch memory, post_ops follow the sum.
dnnl::primitive_attr attributes(const dnnl::post_ops& post_ops = {});
// Adds x -> gelu(x), by erf.
void append_gelu(dnnl::post_ops& post_ops);

// out = a b + bias. A default-made bias layout means none.
Program make_matmul(const Layout& a, const Layout& b, const Layout& bias, const Layout& out,
                    const dnnl::primitive_attr& attributes);

// Forward: x, weight, bias, y; the backward programs have the gradients in these places. Grouped weights are
// (groups, O / groups, C / groups, kh, kw).
struct Convolution {
  Layout x, weight, bias, y;
  Conv2dArgs args;
};
Program make_convolution(const Convolution& problem);
Program make_convolution_backward_data(const Convolution& problem);
Program make_convolution_backward_weight(const Convolution& problem);

// Programs by the numbers that define them. Thread safe. Emptied when it holds `capacity` programs, so that
// ever-changing shapes cannot fill the memory.
class ProgramCache {
 public:
  using Key = std::vector<int64_t>;
  std::shared_ptr<const Program> get(const Key& key, const std::function<Program()>& make);

 private:
  static constexpr size_t capacity = 512;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Program>> programs_;
};

}  // namespace nabla::onednn
