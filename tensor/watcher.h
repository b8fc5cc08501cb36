// Finding out what a function object has captured.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace nabla {

// While it lives, notes which tensors get another handle in this thread: copying a function object lists what
// it has captured. Only the innermost watcher is notified.
class TensorWatcher {
 public:
  struct Seen {
    std::shared_ptr<Storage> storage;
    Shape shape;
    Dtype dtype;
  };

  TensorWatcher() : before_(watching_) { watching_ = this; }
  ~TensorWatcher() { watching_ = before_; }
  TensorWatcher(const TensorWatcher&) = delete;
  TensorWatcher& operator=(const TensorWatcher&) = delete;

  // Each storage once, as the first tensor saw it.
  std::vector<Seen> take() { return std::move(seen_); }

  static bool watching() { return watching_ != nullptr; }
  static void notify(const std::shared_ptr<Storage>& storage, const Shape& shape, Dtype dtype) {
    if (watching_ != nullptr && storage != nullptr) watching_->note(storage, shape, dtype);
  }

 private:
  void note(const std::shared_ptr<Storage>& storage, const Shape& shape, Dtype dtype);

  static constinit thread_local TensorWatcher* watching_;

  TensorWatcher* before_;
  std::vector<Seen> seen_;
};

}  // namespace nabla
