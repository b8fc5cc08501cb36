// A cache of what was found out about a problem, keyed by everything that describes the problem.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace nabla {

// Beyond `capacity` the least recently used entry is dropped. Not thread safe.
template <class Value>
class AlgorithmCache {
 public:
  using Key = std::vector<int64_t>;

  explicit AlgorithmCache(size_t capacity = 4096) : capacity_(capacity) {}

  // The value of `key`; make() gives it at the first call. If make() throws, nothing is kept.
  template <class Make>
  std::shared_ptr<Value> get(const Key& key, const Make& make) {
    if (const auto found = places_.find(key); found != places_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);  // now the most recent
      return entries_.front().second;
    }
    std::shared_ptr<Value> value = make();
    entries_.emplace_front(key, value);
    places_[key] = entries_.begin();
    ++made_;
    if (entries_.size() > capacity_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return value;
  }

  size_t size() const { return entries_.size(); }
  int64_t made() const { return made_; }

 private:
  using Entries = std::list<std::pair<Key, std::shared_ptr<Value>>>;

  size_t capacity_;
  Entries entries_;  // the most recent first
  std::map<Key, typename Entries::iterator> places_;
  int64_t made_ = 0;
};

}  // namespace nabla
