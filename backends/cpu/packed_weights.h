// Copies of frozen weights in the order that a product likes best.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/cpu/onednn.h"
#include "tensor/tensor.h"

namespace nabla {

// Copies of frozen weights in their packed layouts, made when a weight is used for the second time: new
// memory for all of a ViT-B costs 0.3 s, which a program that looks at one image need not wait for. A copy
// lives as long as the storage it was made of, unless that is changed in place; copies of dead storages go when the
// next one is made.
class PackedWeights {
 public:
  // The copy of b, seen as `plain`, in the layout `packed`, an empty one for packed_product.h's; null at the
  // first time. At the second time, fill(room) makes it, `bytes` large.
  template <class Fill>
  void* get(const Tensor& b, const onednn::Layout& plain, const onednn::Layout& packed, size_t bytes,
            const Fill& fill) {
    const std::lock_guard lock(mutex_);
    Copy* copy = find(b, plain, packed);
    if (copy == nullptr) {
      drop_dead_copies();
      copies_[b.raw_data()].push_back({b.storage(), b.version(), plain, packed, nullptr});
      return nullptr;
    }
    if (copy->room == nullptr) {
      copy->room = std::make_unique<Storage>(bytes, Device::cpu());
      fill(copy->room->data());
      b.storage()->evict_unwritten();  // a mapped checkpoint need not stand in memory twice
    }
    return copy->room->data();
  }

  // Afterwards neither copies nor, where they are mapped, the weights themselves stand in memory.
  void clear() {
    const std::lock_guard lock(mutex_);
    for (const auto& [data, copies] : copies_) {
      for (const Copy& copy : copies) {
        if (const auto source = copy.source.lock()) source->evict_unwritten();
      }
    }
    copies_.clear();
  }

 private:
  struct Copy {
    std::weak_ptr<Storage> source;
    uint64_t version;  // of the source
    onednn::Layout plain, packed;
    std::unique_ptr<Storage> room;  // null: used once
  };

  Copy* find(const Tensor& b, const onednn::Layout& plain, const onednn::Layout& packed) {
    std::vector<Copy>& copies = copies_[b.raw_data()];
    std::erase_if(copies, [&](const Copy& copy) {
      return copy.version != b.version() && copy.source.lock() == b.storage();
    });
    for (Copy& copy : copies) {
      if (copy.source.lock() == b.storage() && copy.plain == plain && copy.packed == packed) return &copy;
    }
    return nullptr;
  }

  void drop_dead_copies() {
    for (auto entry = copies_.begin(); entry != copies_.end();) {
      std::erase_if(entry->second, [](const Copy& copy) { return copy.source.expired(); });
      entry = entry->second.empty() ? copies_.erase(entry) : std::next(entry);
    }
  }

  std::mutex mutex_;
  std::map<const void*, std::vector<Copy>> copies_;
};

// Those of the program.
PackedWeights& packed_weights();

// b in the layout of our own products, `bytes` large, which fill(room) makes: the kept copy where b is `frozen` and there is
// one, or a copy for one product alone. `plain`: as PackedWeights::get().
class PackedOperand {
 public:
  template <class Fill>
  PackedOperand(const Tensor& b, const onednn::Layout& plain, bool frozen, size_t bytes, const Fill& fill)
      : kept_(frozen ? packed_weights().get(b, plain, {}, bytes, fill) : nullptr),
        room_(kept_ ? 0 : bytes, Device::cpu()) {
    if (kept_ == nullptr) fill(room_.data());
  }
  const void* data() const { return kept_ ? kept_ : room_.data(); }

 private:
  void* kept_;
  Storage room_;
};

}  // namespace nabla
