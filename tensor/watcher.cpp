#include "tensor/watcher.h"

namespace nabla {

constinit thread_local TensorWatcher* TensorWatcher::watching_ = nullptr;

void TensorWatcher::note(const std::shared_ptr<Storage>& storage, const Shape& shape, Dtype dtype) {
  for (const Seen& seen : seen_) {
    if (seen.storage == storage) return;
  }
  seen_.push_back({storage, shape, dtype});
}

}  // namespace nabla
