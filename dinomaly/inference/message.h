// What one process tells another: JSON, and tensors beside it.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "tensor/communicator.h"

namespace dinomaly {

struct Message {
  nlohmann::json head = {};  // strings may be any bytes
  // On the CPU. Undefined ones stay undefined, and those that share memory share it.
  std::vector<nabla::Tensor> tensors = {};
};

// Between the same two processes messages arrive in their order. Both wait for the other.
void send(nabla::Communicator& processes, int to, const Message& message);
Message receive(nabla::Communicator& processes, int from);

}  // namespace dinomaly
