// What the files of the module share: how the framework's types look in Python, and how its work is done.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "bindings/held_signals.h"
#include "tensor/tensor.h"

namespace dinomaly::python {

namespace nb = nanobind;
using namespace nb::literals;
using namespace nabla;

// Held while the framework computes: other Python threads run meanwhile, and no signal handler does on this one. So Ctrl-C
// raises KeyboardInterrupt when the call returns.
struct Computing {
  nb::gil_scoped_release released;
  HeldSignals signals;
};
using computes = nb::call_guard<Computing>;

// Any array as a tensor: a Tensor itself; memory shared with NumPy, PyTorch and whatever else speaks DLPack where it is
// contiguous, can be written and has a dtype of ours; otherwise a copy. Lists of float become f32.
Tensor tensor_of(nb::handle data);

// What .to() is asked for: a dtype or a device. Calls one of the two.
template <class ToDtype, class ToDevice>
decltype(auto) to(const std::string& what, const ToDtype& to_dtype, const ToDevice& to_device) {
  if (what == "auto" || what.starts_with("cpu") || what.starts_with("cuda"))
    return to_device(parse_device(what));
  return to_dtype(parse_dtype(what));
}

void bind_tensor(nb::module_& m);
void bind_variable(nb::module_& m);
void bind_ops(nb::module_& m);
void bind_modules(nb::module_& m);
void bind_optimizers(nb::module_& m);
void bind_detector(nb::module_& m);

// Something of Python's that C++ keeps: copied and dropped on whatever thread.
template <class Object>
std::shared_ptr<Object> held(Object object) {
  return {new Object(std::move(object)), [](Object* held) {
            if (!nb::is_alive()) return;
            const nb::gil_scoped_acquire acquired;
            delete held;
          }};
}

}  // namespace dinomaly::python

namespace nanobind::detail {

// "f32", "bf16", ...
template <>
struct type_caster<nabla::Dtype> {
  NB_TYPE_CASTER(nabla::Dtype, const_name("str"))
  bool from_python(handle source, uint8_t, cleanup_list*) {
    if (!PyUnicode_Check(source.ptr())) return false;
    value = nabla::parse_dtype(borrow<str>(source).c_str());
    return true;
  }
  static handle from_cpp(nabla::Dtype dtype, rv_policy, cleanup_list*) {
    const std::string_view name = nabla::name_of(dtype);
    return str(name.data(), name.size()).release();
  }
};

// "cpu", "cuda", "cuda:1"
template <>
struct type_caster<nabla::Device> {
  NB_TYPE_CASTER(nabla::Device, const_name("str"))
  bool from_python(handle source, uint8_t, cleanup_list*) {
    if (!PyUnicode_Check(source.ptr())) return false;
    value = nabla::parse_device(borrow<str>(source).c_str());
    return true;
  }
  static handle from_cpp(nabla::Device device, rv_policy, cleanup_list*) {
    return str(device.to_string().c_str()).release();
  }
};

// A tuple or list of int
template <>
struct type_caster<nabla::Shape> {
  NB_TYPE_CASTER(nabla::Shape, io_name("collections.abc.Sequence[int]", "tuple[int, ...]"))
  bool from_python(handle source, uint8_t flags, cleanup_list* cleanup) {
    make_caster<std::vector<int64_t>> sizes;
    if (!sizes.from_python(source, flags, cleanup)) return false;
    value = nabla::Shape(sizes.value);
    return true;
  }
  static handle from_cpp(const nabla::Shape& shape, rv_policy, cleanup_list*) {
    object sizes = steal(PyTuple_New(shape.rank()));
    for (int axis = 0; axis < shape.rank(); ++axis)
      PyTuple_SET_ITEM(sizes.ptr(), axis, PyLong_FromLongLong(shape[axis]));
    return sizes.release();
  }
};

}  // namespace nanobind::detail
