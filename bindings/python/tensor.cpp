// Tensor: memory shared with NumPy and DLPack, views, arithmetic without gradient.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>

#include <algorithm>

#include "bindings/python/arrays.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"

namespace dinomaly::python {

namespace {

std::string repr_of(const Tensor& tensor) {
  if (!tensor.defined()) return "Tensor()";
  const Tensor shown = tensor.to(Device::cpu());
  const bool bf16 = tensor.dtype() == Dtype::bf16;
  nb::object array = numpy_of(bf16 ? shown.to(Dtype::f32) : shown);
  const nb::object text =
      nb::module_::import_("numpy").attr("array2string")(array, "separator"_a = ", ", "prefix"_a = "Tensor(");
  return fmt::format("Tensor({}, dtype='{}', device='{}')", nb::cast<std::string>(text), tensor.dtype(),
                     tensor.device());
}

// x[i], x[a:b:s], x[i, a:b]: a view.
Tensor index(const Tensor& tensor, nb::handle key) {
  if (!nb::isinstance<nb::tuple>(key)) return index(tensor, nb::make_tuple(key));
  Tensor view = tensor;
  int axis = 0;
  for (nb::handle part : nb::borrow<nb::tuple>(key)) {
    const int64_t size = view.size(axis);
    if (nb::isinstance<nb::slice>(part)) {
      const auto [begin, end, step, length] = nb::borrow<nb::slice>(part).compute(static_cast<size_t>(size));
      check_input(step >= 1, "Tensor: a slice has a step of 1 or more");
      view = view.slice(axis++, std::min<int64_t>(begin, size), std::clamp<int64_t>(end, begin, size), step);
    } else {
      int64_t at = nb::cast<int64_t>(part);
      if (at < -size || at >= size) throw nb::index_error("Tensor: index out of range");
      view = view.select(axis, at < 0 ? at + size : at);
    }
  }
  return view;
}

Tensor reduced(Reduce op, const Tensor& x, const std::vector<int>& axes, bool keep) {
  return reduce(op, x, axes, keep);
}

void bind_makers(nb::class_<Tensor>& type) {
  const auto dtype = "dtype"_a = Dtype::f32;
  const auto device = "device"_a = Device();
  type.def(
      "__init__",
      [](Tensor* self, nb::handle data, std::optional<Dtype> wanted, std::optional<Device> place) {
        Tensor tensor = tensor_of(data);
        if (wanted) tensor = tensor.to(*wanted);
        if (place) tensor = tensor.to(*place);
        new (self) Tensor(std::move(tensor));
      },
      "data"_a, "dtype"_a = nb::none(), "device"_a = nb::none(),
      "A tensor of an array or (nested) list. The memory is shared with a contiguous, writable array of "
      "NumPy, PyTorch or\n"
      "any other library that speaks DLPack, and copied otherwise. Lists of float become f32.");
  type.def_static("zeros", &Tensor::zeros, "shape"_a, dtype, device, computes());
  type.def_static("ones", &Tensor::ones, "shape"_a, dtype, device, computes());
  type.def_static("full", &Tensor::full, "shape"_a, "value"_a, dtype, device, computes());
  type.def_static("empty", &Tensor::empty, "shape"_a, dtype, device, "Arbitrary elements.", computes());
  type.def_static("arange", &Tensor::arange, "count"_a, "dtype"_a = Dtype::i64, "0, 1, ..., count - 1.",
                  computes());
  type.def_static("uniform", &Tensor::uniform, "shape"_a, "low"_a, "high"_a, "generator"_a, dtype,
                  "Uniform in [low, high).", computes());
  type.def_static("normal", &Tensor::normal, "shape"_a, "mean"_a, "std"_a, "generator"_a, dtype, computes());
}

void bind_views(nb::class_<Tensor>& type) {
  type.def_prop_ro("shape", [](const Tensor& t) { return t.shape(); })
      .def_prop_ro(
          "strides", [](const Tensor& t) { return t.strides(); }, "In elements.")
      .def_prop_ro("dtype", &Tensor::dtype, "'f32', 'f64', 'bf16', 'i64', 'u8' or 'i8'.")
      .def_prop_ro("device", &Tensor::device, "'cpu' or 'cuda:N'.")
      .def_prop_ro("rank", &Tensor::rank)
      .def("numel", &Tensor::numel, "The number of elements.")
      .def("is_contiguous", &Tensor::is_contiguous)
      .def("transpose", &Tensor::transpose, "axis_a"_a, "axis_b"_a, "A view.")
      .def("permute", &Tensor::permute, "axes"_a, "A view.")
      .def("slice", &Tensor::slice, "axis"_a, "begin"_a, "end"_a, "step"_a = 1, "A view.")
      .def("select", &Tensor::select, "axis"_a, "index"_a, "A view without that axis.")
      .def("expand", &Tensor::expand, "shape"_a, "A view: axes of size 1 repeated with stride 0.")
      .def("unsqueeze", &Tensor::unsqueeze, "axis"_a, "A view.")
      .def("squeeze", &Tensor::squeeze, "axis"_a, "A view.")
      .def("reshape", &Tensor::reshape, "shape"_a, "A view if the strides allow it; one size may be -1.",
           computes())
      .def("flatten", &Tensor::flatten, computes())
      .def("contiguous", &Tensor::contiguous, "Itself, or a row-major copy.", computes())
      .def("clone", &Tensor::clone, computes())
      .def(
          "to",
          [](const Tensor& t, const std::string& what) {
            return to(
                what, [&](Dtype dtype) { return t.to(dtype); }, [&](Device device) { return t.to(device); });
          },
          "dtype_or_device"_a, "Itself if nothing changes, otherwise a copy.", computes())
      .def("overlaps", &Tensor::overlaps, "other"_a, "Whether the two may have memory in common.")
      .def(
          "copy_from", [](const Tensor& t, nb::handle source) { t.copy_from(tensor_of(source)); }, "source"_a,
          "Writes the elements of `source`, of the same shape, into this tensor's memory.")
      .def("fill", &Tensor::fill, "value"_a, computes())
      .def("version", &Tensor::version,
           "How often the memory was changed in place. NumPy's writes do not count themselves:\n"
           "call mark_written() after them.")
      .def("mark_written", &Tensor::mark_written)
      .def("item", &Tensor::item, "The one element.")
      .def("__getitem__", &index)
      .def("__len__", [](const Tensor& t) { return t.size(0); })
      .def("__float__", &Tensor::item)
      .def("__repr__", &repr_of);
}

void bind_exchange(nb::class_<Tensor>& type) {
  type.def("numpy", &numpy_of, nb::sig("def numpy(self) -> numpy.ndarray"),
           "A NumPy array on the same memory.")
      .def(
          "__array__",
          [](const Tensor& t, nb::object dtype, nb::object copy) -> nb::object {
            const nb::object array = numpy_of(t.dtype() == Dtype::bf16 ? t.to(Dtype::f32) : t);
            if (dtype.is_none() && (copy.is_none() || !nb::cast<bool>(copy))) return array;
            return nb::module_::import_("numpy").attr("array")(array, "dtype"_a = dtype);
          },
          "dtype"_a = nb::none(), "copy"_a = nb::none())
      .def("tolist",
           [](const Tensor& t) {
             return numpy_of(t.dtype() == Dtype::bf16 ? t.to(Dtype::f32) : t).attr("tolist")();
           })
      .def(
          "__dlpack__",
          [](const Tensor& t, const nb::kwargs& arguments) {
            return nb::cast(nb::ndarray<nb::array_api>(array_of(t))).attr("__dlpack__")(**arguments);
          },
          "A DLPack capsule on the same memory: torch.from_dlpack(tensor), numpy.from_dlpack(tensor).")
      .def("__dlpack_device__", [](const Tensor& t) {
        return nb::cast(nb::ndarray<nb::array_api>(array_of(t))).attr("__dlpack_device__")();
      });
}

void bind_arithmetic(nb::class_<Tensor>& type) {
  const auto axes = "axes"_a = std::vector<int>();
  type.def(
          "__add__", [](const Tensor& a, const Tensor& b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__add__", [](const Tensor& a, double b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__radd__", [](const Tensor& a, double b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__sub__", [](const Tensor& a, const Tensor& b) { return a - b; }, computes(), nb::is_operator())
      .def(
          "__sub__", [](const Tensor& a, double b) { return a + -b; }, computes(), nb::is_operator())
      .def(
          "__rsub__", [](const Tensor& a, double b) { return -a + b; }, computes(), nb::is_operator())
      .def(
          "__mul__", [](const Tensor& a, const Tensor& b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__mul__", [](const Tensor& a, double b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__rmul__", [](const Tensor& a, double b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__truediv__", [](const Tensor& a, const Tensor& b) { return a / b; }, computes(),
          nb::is_operator())
      .def(
          "__truediv__", [](const Tensor& a, double b) { return a * (1 / b); }, computes(), nb::is_operator())
      .def(
          "__neg__", [](const Tensor& a) { return -a; }, computes(), nb::is_operator())
      .def(
          "__matmul__", [](const Tensor& a, const Tensor& b) { return matmul(a, false, b, false); },
          computes(), nb::is_operator())
      .def(
          "sum",
          [](const Tensor& t, const std::vector<int>& of, bool keep) {
            return reduced(Reduce::sum, t, of, keep);
          },
          axes, "keep"_a = false, computes())
      .def(
          "mean",
          [](const Tensor& t, const std::vector<int>& of, bool keep) {
            return reduced(Reduce::mean, t, of, keep);
          },
          axes, "keep"_a = false, computes())
      .def(
          "max",
          [](const Tensor& t, const std::vector<int>& of, bool keep) {
            return reduced(Reduce::max, t, of, keep);
          },
          axes, "keep"_a = false, computes())
      .def(
          "argmax", [](const Tensor& t, int axis) { return argmax(t, axis); }, "axis"_a = -1, computes())
      .def(
          "sort", [](const Tensor& t, int axis, bool descending) { return sort(t, axis, descending); },
          "axis"_a = -1, "descending"_a = false, "(values, indices).", computes())
      .def(
          "topk",
          [](const Tensor& t, int64_t k, int axis, bool largest) { return topk(t, k, axis, largest); }, "k"_a,
          "axis"_a = -1, "largest"_a = true, "(values, indices).", computes())
      .def(
          "is_finite", [](const Tensor& t) { return is_finite(t); }, "Whether no value is NaN or infinite.",
          computes());
}

}  // namespace

void bind_tensor(nb::module_& m) {
  nb::class_<Generator>(m, "Generator",
                        "A stream of random numbers (Philox): (seed, offset) is its whole state.")
      .def(nb::init<uint64_t, uint64_t>(), "seed"_a = 0, "offset"_a = 0)
      .def_prop_ro("seed", &Generator::seed)
      .def_prop_ro("offset", &Generator::offset)
      .def("uniform", &Generator::uniform, "The next number in [0, 1).")
      .def("normal", &Generator::normal, "The next standard normal number.");
  nb::class_<Tensor> type(
      m, "Tensor",
      "An n-dimensional array: a handle on memory that views share. It knows nothing of gradients.");
  bind_makers(type);
  bind_views(type);
  bind_exchange(type);
  bind_arithmetic(type);
  m.def(
      "save_safetensors",
      [](const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors) {
        save_safetensors(path, {tensors.begin(), tensors.end()});
      },
      "path"_a, "tensors"_a, "Writes a safetensors file, whole or not at all.", computes());
  m.def(
      "load_safetensors",
      [](const std::filesystem::path& path) {
        const SafeTensors file = SafeTensors::read(path);
        std::map<std::string, Tensor> tensors;
        for (const std::string& name : file.names()) tensors[name] = file.get(name);
        return tensors;
      },
      "path"_a, "The tensors of a safetensors file.", computes());
}

}  // namespace dinomaly::python
