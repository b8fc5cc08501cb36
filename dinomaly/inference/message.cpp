#include "dinomaly/inference/message.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "dinomaly/base/framework.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// Each tensor's shape and dtype; null if it is undefined; the place of an earlier one that it equals.
json described(const std::vector<Tensor>& tensors) {
  json result = json::array();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    const auto earlier = std::find_if(
        tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(i), [&](const Tensor& other) {
          return other.defined() && tensor.defined() && other.raw_data() == tensor.raw_data() &&
                 other.shape() == tensor.shape();
        });
    if (!tensor.defined())
      result.push_back(nullptr);
    else if (const auto place = static_cast<size_t>(earlier - tensors.begin()); place < i)
      result.push_back(place);
    else
      result.push_back({{"shape", std::vector(tensor.shape().begin(), tensor.shape().end())},
                        {"dtype", static_cast<int>(tensor.dtype())}});
  }
  return result;
}

Tensor bytes_of(const std::vector<uint8_t>& bytes) {
  return Tensor::from(bytes, {static_cast<int64_t>(bytes.size())});
}

}  // namespace

void send(Communicator& processes, int to, const Message& message) {
  std::vector<Tensor> tensors;
  for (const Tensor& tensor : message.tensors)
    tensors.push_back(tensor.defined() ? tensor.contiguous() : tensor);
  const json places = described(tensors);
  const Tensor head = bytes_of(json::to_cbor({{"head", message.head}, {"tensors", places}}));
  processes.exchange({{to, Tensor::from(std::vector<int64_t>{head.numel()}, {1})}}, {});
  std::vector<Communicator::Parcel> parcels{{to, head}};
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (places[i].is_object()) parcels.push_back({to, tensors[i]});
  }
  processes.exchange(parcels, {});
}

Message receive(Communicator& processes, int from) {
  const Tensor size = Tensor::empty({1}, Dtype::i64);
  processes.exchange({}, {{from, size}});
  const Tensor bytes = Tensor::empty({size.data<int64_t>()[0]}, Dtype::u8);
  processes.exchange({}, {{from, bytes}});
  json told = json::from_cbor(bytes.data<uint8_t>(), bytes.data<uint8_t>() + bytes.numel());
  Message message{std::move(told["head"])};
  std::vector<Communicator::Parcel> parcels;
  for (const json& place : told["tensors"]) {
    if (place.is_null()) {
      message.tensors.emplace_back();
    } else if (place.is_number()) {
      message.tensors.push_back(message.tensors.at(place.get<size_t>()));
    } else {
      message.tensors.push_back(Tensor::empty(Shape(place["shape"].get<std::vector<int64_t>>()),
                                              static_cast<Dtype>(place["dtype"].get<int>())));
      parcels.push_back({from, message.tensors.back()});
    }
  }
  processes.exchange({}, parcels);
  return message;
}

}  // namespace dinomaly
