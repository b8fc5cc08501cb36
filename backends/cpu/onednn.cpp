#include "backends/cpu/onednn.h"

#include <utility>

#include "backends/common/one_thread.h"

namespace nabla::onednn {

namespace {

dnnl::memory::data_type data_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return dnnl::memory::data_type::f32;
    case Dtype::bf16:
      return dnnl::memory::data_type::bf16;
    default:
      fail("oneDNN: no products of {}", dtype);
  }
}

dnnl::memory::dims dims(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::stream& stream() {
  thread_local dnnl::stream current(engine());
  return current;
}

using Forward = dnnl::convolution_forward;
using BackwardData = dnnl::convolution_backward_data;
using BackwardWeight = dnnl::convolution_backward_weights;

struct Geometry {
  dnnl::memory::dims strides, padding;
  explicit Geometry(const Conv2dArgs& args)
      : strides{args.stride_y, args.stride_x}, padding{args.padding_y, args.padding_x} {}
};

constexpr bool allow_empty = true;  // no kernel: an empty description instead of an exception

#if DNNL_VERSION_MAJOR >= 3

Forward::primitive_desc describe_forward(const Convolution& c) {
  const Geometry g(c.args);
  return {engine(),
          dnnl::prop_kind::forward_training,
          dnnl::algorithm::convolution_direct,
          c.x,
          c.weight,
          c.bias,
          c.y,
          g.strides,
          g.padding,
          g.padding,
          attributes(),
          allow_empty};
}
template <class Pass>  // BackwardData or BackwardWeight
typename Pass::primitive_desc describe_backward(const Convolution& c, const Forward::primitive_desc& hint) {
  const Geometry g(c.args);
  return {engine(),   dnnl::algorithm::convolution_direct,
          c.x,        c.weight,
          c.y,        g.strides,
          g.padding,  g.padding,
          hint,       attributes(),
          allow_empty};
}
dnnl::matmul::primitive_desc describe_matmul(const Layout& a, const Layout& b, const Layout& bias,
                                             const Layout& out, const dnnl::primitive_attr& attributes) {
  return {engine(), a, b, bias, out, attributes, allow_empty};
}

#else

Forward::primitive_desc describe_forward(const Convolution& c) {
  const Geometry g(c.args);
  const Forward::desc operation(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, c.x,
                                c.weight, c.bias, c.y, g.strides, g.padding, g.padding);
  return {operation, attributes(), engine(), allow_empty};
}
template <class Pass>  // BackwardData or BackwardWeight
typename Pass::primitive_desc describe_backward(const Convolution& c, const Forward::primitive_desc& hint) {
  const Geometry g(c.args);
  const typename Pass::desc operation(dnnl::algorithm::convolution_direct, c.x, c.weight, c.y, g.strides,
                                      g.padding, g.padding);
  return {operation, attributes(), engine(), hint, allow_empty};
}
dnnl::matmul::primitive_desc describe_matmul(const Layout& a, const Layout& b, const Layout& bias,
                                             const Layout& out, const dnnl::primitive_attr& attributes) {
  return {dnnl::matmul::desc(a, b, bias, out), attributes, engine(), allow_empty};
}

#endif

}  // namespace

void keep_to_level() {
#if defined(__AVX512BF16__)
  constexpr dnnl::cpu_isa most = dnnl::cpu_isa::all;  // the best level takes what there is, AMX included
#elif defined(__AVX512F__)
  constexpr dnnl::cpu_isa most = dnnl::cpu_isa::avx512_core;
#elif defined(__AVX2__)
  constexpr dnnl::cpu_isa most = dnnl::cpu_isa::avx2;
#else
  constexpr dnnl::cpu_isa most = dnnl::cpu_isa::sse41;
#endif
  check(dnnl::set_max_cpu_isa(most) == dnnl::status::success, "oneDNN: in use before its level is chosen");
}

bool multiplies_tiles() {
  constexpr int tiles = static_cast<int>(dnnl::cpu_isa::avx512_core_amx);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & tiles) == tiles;
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

Layout layout(const Shape& shape, Dtype dtype, const Strides& strides) {
  return Layout(dims(shape), data_type(dtype), dims(strides));
}
Layout layout(const Shape& shape, Dtype dtype) { return layout(shape, dtype, contiguous_strides(shape)); }
Layout any_layout(const Shape& shape, Dtype dtype) {
  return Layout(dims(shape), data_type(dtype), dnnl::memory::format_tag::any);
}

dnnl::memory view(const Tensor& tensor, const Layout& layout, int64_t offset) {
  const int64_t bytes = offset * static_cast<int64_t>(size_of(tensor.dtype()));
  return dnnl::memory(layout, engine(), static_cast<char*>(tensor.raw_data()) + bytes);
}

void reorder(const dnnl::memory& from, const dnnl::memory& to) {
  dnnl::memory source = from, destination = to;  // handles; the call wants them mutable
  dnnl::reorder(source, destination).execute(stream(), source, destination);
  stream().wait();
}

template <class Primitive>
Program compile(const typename Primitive::primitive_desc& description) {
  Program program;
  if (!description) return program;
  program.description_ = description;
  program.primitive_ = Primitive(description);
  return program;
}

void Program::run(Arguments arguments) const {
  const OneThread guard;
  const Layout scratch_layout = layout_of(DNNL_ARG_SCRATCHPAD);
  const Storage scratch(scratch_layout.get_size(), Device::cpu());
  arguments.insert({DNNL_ARG_SCRATCHPAD, dnnl::memory(scratch_layout, engine(), scratch.data())});
  primitive_.execute(stream(), arguments);
  stream().wait();
}

dnnl::primitive_attr attributes(const dnnl::post_ops& post_ops) {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  result.set_post_ops(post_ops);
  return result;
}

void append_gelu(dnnl::post_ops& post_ops) {
#if DNNL_VERSION_MAJOR >= 3
  post_ops.append_eltwise(dnnl::algorithm::eltwise_gelu_erf, 0.0f, 0.0f);
#else
  post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0.0f, 0.0f);
#endif
}

Program make_matmul(const Layout& a, const Layout& b, const Layout& bias, const Layout& out,
                    const dnnl::primitive_attr& attributes) {
  const OneThread guard;
  return compile<dnnl::matmul>(describe_matmul(a, b, bias, out, attributes));
}

Program make_convolution(const Convolution& problem) {
  const OneThread guard;
  return compile<Forward>(describe_forward(problem));
}

Program make_convolution_backward_data(const Convolution& problem) {
  const OneThread guard;
  const Forward::primitive_desc hint = describe_forward(problem);
  return hint ? compile<BackwardData>(describe_backward<BackwardData>(problem, hint)) : Program();
}

Program make_convolution_backward_weight(const Convolution& problem) {
  const OneThread guard;
  const Forward::primitive_desc hint = describe_forward(problem);
  return hint ? compile<BackwardWeight>(describe_backward<BackwardWeight>(problem, hint)) : Program();
}

std::shared_ptr<const Program> ProgramCache::get(const Key& key, const std::function<Program()>& make) {
  const std::lock_guard lock(mutex_);
  auto place = programs_.find(key);
  if (place == programs_.end()) {
    if (programs_.size() >= capacity) programs_.clear();
    place = programs_.emplace(key, std::make_shared<const Program>(make())).first;
  }
  return place->second;
}

}  // namespace nabla::onednn
