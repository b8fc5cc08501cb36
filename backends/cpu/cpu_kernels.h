// The CPU backend. Contracts stand in tensor/kernels.h; a kernel is a function in a file of this folder. Those files do
// not include this one: a new kernel compiles itself and this list, not its neighbours.
#pragma once

#include <span>

#include "tensor/kernels.h"

// The functions: one declaration for each kernel that Kernels declares. Where a file's own differs, linking fails.
namespace nabla::cpu {
#include "backends/kernel_functions.inc"
void release_packed_weights();  // of matmul(): its copies of frozen matrices
}  // namespace nabla::cpu

namespace nabla {

class CpuKernels final : public Kernels {
 public:
  CpuKernels();

  Device device() const override { return Device::cpu(); }
  CachingAllocator& allocator() override { return allocator_; }
  void trim() override;
  void synchronize() override {}
  std::unique_ptr<Recording> record(const std::function<void()>&) override { return nullptr; }

// Each calls its function.
#include "backends/kernel_calls.inc"

 private:
  CachingAllocator allocator_;
};

}  // namespace nabla
