#include "dinomaly/weights/torch_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"
#include "tensor/io/raw_tensor.h"

namespace dinomaly {
namespace {

using Kind = PickleNode::Kind;

// torch.FloatStorage and the like -> safetensors' dtype, supported or not; empty for others.
std::string dtype_of_storage(const PickleNode& type) {
  static const std::map<std::string_view, std::string> known{
      {"FloatStorage", "F32"}, {"DoubleStorage", "F64"},       {"HalfStorage", "F16"},
      {"LongStorage", "I64"},  {"IntStorage", "I32"},          {"BFloat16Storage", "BF16"},
      {"ByteStorage", "U8"},   {"BoolStorage", "BOOL"},        {"ShortStorage", "I16"},
      {"CharStorage", "I8"},   {"ComplexFloatStorage", "C64"}, {"ComplexDoubleStorage", "C128"}};
  if (type.kind != Kind::global || type.text != "torch") return "";
  const auto found = known.find(type.text2);
  return found == known.end() ? "" : found->second;
}

// Functions of torch._utils whose results are not read.
std::string describe_function(std::string_view function) {
  static const std::map<std::string_view, std::string> known{
      {"_rebuild_qtensor", "a quantized tensor"},
      {"_rebuild_sparse_tensor", "a sparse tensor"},
      {"_rebuild_sparse_csr_tensor", "a sparse tensor"},
      {"_rebuild_nested_tensor", "a nested tensor"},
      {"_rebuild_meta_tensor_no_storage", "a tensor without data (of device meta)"},
      {"_rebuild_wrapper_subclass", "a tensor of a class of its own"},
      {"_rebuild_device_tensor_from_numpy", "a tensor of an accelerator, saved as a NumPy array"},
      {"_rebuild_device_tensor_from_cpu_tensor", "a tensor of an accelerator"}};
  const auto found = known.find(function);
  return found == known.end() ? "" : found->second;
}

// The elements of a big-endian storage as this machine has them.
std::shared_ptr<std::vector<std::byte>> byte_swapped(const StoredZip::Bytes& bytes, uint64_t element) {
  auto swapped = std::make_shared<std::vector<std::byte>>(bytes.data, bytes.data + bytes.size);
  for (auto at = swapped->begin(); at != swapped->end(); at += static_cast<std::ptrdiff_t>(element))
    std::reverse(at, at + static_cast<std::ptrdiff_t>(element));
  return swapped;
}

std::string dotted(const PickleNode& global) {
  return printable(fmt::format("{}.{}", printable(global.text), printable(global.text2)));
}

// Row-major, from elements anywhere in a storage.
Tensor gather(const Tensor& storage, int64_t offset, const Shape& shape,
              const std::vector<int64_t>& strides) {
  Tensor result = Tensor::empty(shape, storage.dtype());
  visit(storage.dtype(), [&]<class T>(T) {
    const T* from = storage.data<T>();
    T* to = result.data<T>();
    std::vector<int64_t> index(strides.size());
    int64_t at = offset;
    for (int64_t i = 0, count = shape.numel(); i < count; ++i) {
      to[i] = from[at];
      for (size_t axis = strides.size(); axis-- > 0;) {
        at += strides[axis];
        if (++index[axis] < shape[static_cast<int>(axis)]) break;
        at -= strides[axis] * index[axis];
        index[axis] = 0;
      }
    }
  });
  return result;
}

}  // namespace

std::string describe(const Pickle& pickle, const PickleNode& node) {
  switch (node.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
    case Kind::other:
      return "a number";
    case Kind::text:
      return "a string";
    case Kind::list:
    case Kind::tuple:
      return "a list";
    case Kind::dict:
      return "a dict";
    case Kind::global:
      return dotted(node);
    case Kind::persistent:
      return "a storage";
    case Kind::call:
      break;
  }
  const PickleNode& callee = pickle.nodes[node.items[0]];
  return callee.kind == Kind::global ? fmt::format("an object of {}", dotted(callee)) : "an object";
}

TorchTensors::TorchTensors(const Pickle& pickle, const StoredZip& zip, TorchArchive archive,
                           std::string source)
    : pickle_(pickle), zip_(zip), archive_(std::move(archive)), source_(std::move(source)) {}

// The call of torch._utils that makes the tensor, be it on its own, inside _rebuild_parameter(tensor, ...) or
// through _rebuild_from_type_v2(function, type, arguments, state).
std::optional<TorchTensors::Rebuild> TorchTensors::rebuild(const PickleNode& value) const {
  const PickleNode* current = &value;
  for (int wrappings = 0; wrappings < 4 && current->kind == Kind::call; ++wrappings) {
    const PickleNode* callee = &node(current->items[0]);
    const PickleNode* arguments = &node(current->items[1]);
    const auto calls = [&](std::string_view module, std::string_view name) {
      return callee->kind == Kind::global && callee->text == module && callee->text2 == name;
    };
    if (arguments->kind != Kind::tuple) return std::nullopt;
    if (calls("torch._tensor", "_rebuild_from_type_v2") && arguments->items.size() == 4) {
      callee = &node(arguments->items[0]);
      arguments = &node(arguments->items[2]);
      if (arguments->kind != Kind::tuple) return std::nullopt;
    }
    if (callee->kind != Kind::global || callee->text != "torch._utils") return std::nullopt;
    const bool parameter =
        calls("torch._utils", "_rebuild_parameter") || calls("torch._utils", "_rebuild_parameter_with_state");
    if (!parameter) return Rebuild{callee->text2, arguments};
    if (arguments->items.empty()) return std::nullopt;
    current = &node(arguments->items[0]);
  }
  return std::nullopt;
}

// What keeps a tensor from being read; empty: nothing. _rebuild_tensor_v2(storage, offset, sizes, strides,
// requires_grad, hooks[, metadata]); v3 has the dtype after the hooks and storages of bytes. The storage is a
// persistent id ("storage", type, key, device, elements).
std::string TorchTensors::why_unreadable(const Rebuild& rebuild) const {
  const std::vector<uint32_t>& items = rebuild.arguments->items;
  if (std::string what = describe_function(rebuild.function); !what.empty()) return what;
  if (rebuild.function == "_rebuild_tensor_v3" && items.size() > 6 && node(items[6]).kind == Kind::global)
    return fmt::format("of dtype {}", dotted(node(items[6])));
  const bool known = rebuild.function == "_rebuild_tensor_v2" || rebuild.function == "_rebuild_tensor";
  if (!known || items.size() < 4)
    return fmt::format("an object of torch._utils.{}", printable(rebuild.function));
  // Conjugated or negated only when it is read.
  if (items.size() > 6 && node(items[6]).kind != Kind::none && node(items[6]).items.size() > 0)
    return "a tensor whose values are yet to be conjugated or negated";
  if (node(items[2]).kind == Kind::tuple && node(items[2]).items.size() > Shape::max_rank)
    return fmt::format("a tensor of {} axes", node(items[2]).items.size());
  const PickleNode& storage = node(items[0]);
  const bool persistent = storage.kind == Kind::persistent && node(storage.items[0]).kind == Kind::tuple &&
                          node(storage.items[0]).items.size() == 5;
  if (!persistent) return "a tensor whose storage is not described as PyTorch does";
  const std::vector<uint32_t>& id = node(storage.items[0]).items;
  const std::string dtype = dtype_of_storage(node(id[1]));
  if (dtype.empty()) return fmt::format("of dtype {}", describe(pickle_, node(id[1])));
  if (!is_supported_dtype(dtype)) return fmt::format("of dtype {}", dtype);
  if (node(id[3]).kind == Kind::text && node(id[3]).text == "meta")
    return "a tensor without data (of device meta)";
  const bool typed = node(id[2]).kind == Kind::text && node(id[4]).kind == Kind::integer;
  return typed ? "" : "a tensor whose storage is not described as PyTorch does";
}

// A persistent id ("storage", type, key, device, elements).
TorchTensors::Storage TorchTensors::storage(const PickleNode& id, const std::string& dtype) {
  const PickleNode &key = node(id.items[2]), &elements = node(id.items[4]);
  const std::string entry = fmt::format("{}data/{}", archive_.folder, key.text);
  if (const auto found = storages_.find(dtype + entry); found != storages_.end()) return found->second;
  const StoredZip::Bytes bytes = zip_.get(entry);
  const uint64_t element = element_bytes(dtype), count = bytes.size / element;
  check_input(elements.integer >= 0 && static_cast<uint64_t>(elements.integer) == count &&
                  count * element == bytes.size,
              "{}: storage '{}' has {}, not the {} of {} it announces", source_, printable(entry),
              counted(bytes.size, "byte"), counted(elements.integer, "element"), dtype);
  account(bytes.size, stored_bytes_);
  const Shape shape{static_cast<int64_t>(count)};
  if (archive_.big_endian && element > 1) {
    const auto swapped = byte_swapped(bytes, element);
    return storages_[dtype + entry] = {raw_tensor(swapped->data(), shape, dtype, swapped, false), dtype};
  }
  return storages_[dtype + entry] = {raw_tensor(bytes.data, shape, dtype, zip_.file(), false), dtype};
}

std::optional<TorchTensors::View> TorchTensors::view(const PickleNode& arguments) const {
  const PickleNode &offset = node(arguments.items[1]), &sizes = node(arguments.items[2]),
                   &strides = node(arguments.items[3]);
  const bool typed = offset.kind == Kind::integer && sizes.kind == Kind::tuple &&
                     strides.kind == Kind::tuple && sizes.items.size() == strides.items.size() &&
                     sizes.items.size() <= Shape::max_rank;
  if (!typed) return std::nullopt;
  View result{offset.integer, {}, {}};
  for (size_t axis = 0; axis < sizes.items.size(); ++axis) {
    const PickleNode &size = node(sizes.items[axis]), &stride = node(strides.items[axis]);
    if (size.kind != Kind::integer || stride.kind != Kind::integer) return std::nullopt;
    result.sizes.push_back(size.integer);
    result.strides.push_back(stride.integer);
  }
  return result;
}

// Archive entries and tensors may overlap; their total must not be much larger than the file.
void TorchTensors::account(uint64_t bytes, uint64_t& total) const {
  total += bytes;
  check_input(total / 4 <= zip_.file()->size(),
              "{}: its tensors are more than four times the file's {} bytes", source_, zip_.file()->size());
}

Tensor TorchTensors::apply(const View& view, const Storage& storage, const std::string& name) {
  const int64_t limit = storage.values.numel();
  int64_t numel = 1, last = view.offset;
  bool inside = view.offset >= 0 && view.offset <= limit, empty = false;
  for (size_t axis = 0; axis < view.sizes.size(); ++axis) {
    const int64_t size = view.sizes[axis], stride = view.strides[axis];
    int64_t reach = 0;
    inside = inside && size >= 0 && stride >= 0 &&
             !__builtin_mul_overflow(numel, std::max<int64_t>(size, 1), &numel) &&
             !__builtin_mul_overflow(std::max<int64_t>(size, 1) - 1, stride, &reach) &&
             !__builtin_add_overflow(last, reach, &last);
    empty |= size == 0;
  }
  inside = inside && (empty || (last < limit && numel <= limit)) && numel <= INT64_MAX / 8;
  check_input(
      inside,
      "{}: tensor '{}' of shape ({}) and strides ({}) at {} reaches outside its storage of {} elements",
      source_, printable(name), fmt::join(view.sizes, ", "), fmt::join(view.strides, ", "), view.offset,
      limit);
  const Shape shape(view.sizes);
  if (empty) return Tensor::empty(shape, storage.values.dtype());
  account(static_cast<uint64_t>(numel) * element_bytes(storage.dtype), tensor_bytes_);

  int64_t dense = 1;  // the stride a row-major tensor has
  bool contiguous = true;
  for (size_t axis = view.sizes.size(); axis-- > 0; dense *= view.sizes[axis]) {
    contiguous &= view.sizes[axis] == 1 || view.strides[axis] == dense;
  }
  if (contiguous) return storage.values.slice(0, view.offset, view.offset + numel).reshape(shape);
  return gather(storage.values, view.offset, shape, view.strides);
}

TorchValue TorchTensors::read(const PickleNode& value, const std::string& name) {
  const std::optional<Rebuild> call = rebuild(value);
  if (!call) return {{}, "", describe(pickle_, value)};
  if (std::string what = why_unreadable(*call); !what.empty()) return {{}, "", std::move(what)};
  const std::optional<View> place = view(*call->arguments);
  if (!place) return {{}, "", "a tensor whose shape is not described as PyTorch does"};
  const PickleNode& id = node(node(call->arguments->items[0]).items[0]);
  const Storage values = storage(id, dtype_of_storage(node(id.items[1])));
  return {apply(*place, values, name), values.dtype, ""};
}

}  // namespace dinomaly
