// The CPU backend. Contracts stand in tensor/kernels.h; each group of methods has its own file
// in this folder.
#pragma once

#include <span>

#include "tensor/kernels.h"

namespace nabla {

class CpuKernels final : public Kernels {
 public:
  CpuKernels();

  Device device() const override { return Device::cpu(); }
  CachingAllocator& allocator() override { return allocator_; }
  void trim() override;
  void synchronize() override {}
  std::unique_ptr<Recording> record(const std::function<void()>&) override { return nullptr; }

// The kernels themselves: one declaration for each that Kernels declares.
#include "backends/kernel_overrides.inc"

 private:
  CachingAllocator allocator_;
};

}  // namespace nabla
