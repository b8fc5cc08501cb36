#include "bindings/python/arrays.h"

#include <optional>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace dinomaly::python {

namespace {

struct DlpackName {
  Dtype dtype;
  nb::dlpack::dtype name;
};

std::vector<DlpackName> dlpack_names() {
  using Code = nb::dlpack::dtype_code;
  const auto name = [](Code code, uint8_t bits) {
    return nb::dlpack::dtype{static_cast<uint8_t>(code), bits, 1};
  };
  return {{Dtype::f32, name(Code::Float, 32)},   {Dtype::f64, name(Code::Float, 64)},
          {Dtype::bf16, name(Code::Bfloat, 16)}, {Dtype::i64, name(Code::Int, 64)},
          {Dtype::u8, name(Code::UInt, 8)},      {Dtype::i8, name(Code::Int, 8)},
          {Dtype::u8, name(Code::Bool, 8)}};
}

nb::dlpack::dtype dlpack_of(Dtype dtype) {
  for (const DlpackName& entry : dlpack_names())
    if (entry.dtype == dtype) return entry.name;
  fail("no DLPack dtype for {}", dtype);
}

std::optional<Dtype> dtype_of_dlpack(nb::dlpack::dtype name) {
  for (const DlpackName& entry : dlpack_names())
    if (entry.name == name) return entry.dtype;
  return std::nullopt;
}

bool is_row_major(const nb::ndarray<nb::ro>& array) {
  if (array.size() == 0) return true;
  int64_t expected = 1;
  for (size_t axis = array.ndim(); axis-- > 0;) {
    if (array.shape(axis) != 1 && array.stride(axis) != expected) return false;
    expected *= static_cast<int64_t>(array.shape(axis));
  }
  return true;
}

// The array's memory as a tensor that keeps it.
Tensor share(const nb::ndarray<nb::ro>& array, nb::handle source) {
  const std::optional<Dtype> dtype = dtype_of_dlpack(array.dtype());
  check_input(dtype.has_value(), "Tensor: no dtype of ours holds {} (f32, f64, bf16, i64, u8, i8)",
              nb::repr(nb::getattr(source, "dtype", nb::none())).c_str());
  check_input(is_row_major(array), "Tensor: the array is not contiguous");
  Shape shape;
  for (size_t axis = 0; axis < array.ndim(); ++axis) shape.push_back(static_cast<int64_t>(array.shape(axis)));
  const bool on_cpu = array.device_type() == nb::device::cpu::value;
  check_input(on_cpu || array.device_type() == nb::device::cuda::value,
              "Tensor: an array of an unknown device");
  if (shape.numel() == 0) return Tensor::empty(shape, *dtype);
  return Tensor::wrap(const_cast<void*>(static_cast<const void*>(array.data())), shape, *dtype, held(array),
                      on_cpu ? Device::cpu() : Device::cuda(array.device_id()));
}

// In NumPy: lists, numbers, and arrays that are not contiguous.
nb::object as_numpy(nb::handle data, bool list) {
  const nb::module_ numpy = nb::module_::import_("numpy");
  nb::object array = numpy.attr("ascontiguousarray")(data).attr("reshape")(numpy.attr("shape")(data));
  if (list && nb::cast<std::string>(array.attr("dtype").attr("name")) == "float64")
    array = array.attr("astype")("float32");
  return array;
}

}  // namespace

nb::ndarray<> array_of(const Tensor& tensor) {
  std::vector<size_t> sizes(tensor.shape().begin(), tensor.shape().end());
  std::vector<int64_t> strides(tensor.strides().begin(), tensor.strides().end());
  const nb::capsule owner(new Tensor(tensor), [](void* held) noexcept { delete static_cast<Tensor*>(held); });
  const Device device = tensor.device();
  return nb::ndarray<>(tensor.numel() > 0 ? tensor.raw_data() : nullptr, sizes.size(), sizes.data(), owner,
                       strides.data(), dlpack_of(tensor.dtype()),
                       device.is_cpu() ? nb::device::cpu::value : nb::device::cuda::value, device.index);
}

nb::object numpy_of(const Tensor& tensor) {
  check_input(tensor.defined(), "numpy(): the tensor is undefined");
  check_input(tensor.device().is_cpu(), "numpy(): the tensor is on {}; take .to('cpu') first",
              tensor.device());
  check_input(tensor.dtype() != Dtype::bf16, "numpy(): NumPy has no bf16; take .to('f32') first");
  return nb::cast(nb::ndarray<nb::numpy>(array_of(tensor)));
}

Tensor tensor_of(nb::handle data) {
  if (Tensor* tensor = nullptr; nb::try_cast(data, tensor) && tensor != nullptr) return *tensor;
  nb::ndarray<> writable;
  nb::ndarray<nb::ro> read_only;
  if (nb::try_cast(data, writable)) {
    const nb::ndarray<nb::ro> array(writable);
    if (is_row_major(array)) return share(array, data);
    if (nb::hasattr(data, "contiguous")) return tensor_of(data.attr("contiguous")());
  } else if (nb::try_cast(data, read_only) && is_row_major(read_only)) {
    return share(read_only, data).clone();
  }
  const nb::object array = as_numpy(data, !nb::hasattr(data, "dtype"));
  check_input(nb::try_cast(array, read_only), "Tensor: an array of {} is not one of numbers",
              nb::repr(array.attr("dtype")).c_str());
  return nb::try_cast(array, writable) ? share(read_only, array) : share(read_only, array).clone();
}

}  // namespace dinomaly::python
