#include "tensor/allocator.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/backend.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

using namespace nabla;

namespace {

// A heap of limited size that counts what is out.
class LimitedSource final : public MemorySource {
 public:
  LimitedSource(size_t limit, size_t* out) : limit_(limit), out_(out) {}
  void* acquire(size_t bytes) override {
    if (*out_ + bytes > limit_) return nullptr;
    *out_ += bytes;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  void release(void* block, size_t bytes) override {
    *out_ -= bytes;
    std::free(block);
  }

 private:
  size_t limit_;
  size_t* out_;
};

}  // namespace

TEST_CASE("allocator: rounding wastes at most a sixteenth, or 64 bytes, and is stable") {
  CHECK(CachingAllocator::rounded(1) == 256);
  CHECK(CachingAllocator::rounded(257) == 320);
  for (size_t bytes = 257; bytes < 5000000; bytes += bytes / 7) {
    const size_t rounded = CachingAllocator::rounded(bytes);
    CHECK(rounded >= bytes);
    CHECK(rounded <= bytes + std::max<size_t>(64, bytes / 16));
    CHECK(CachingAllocator::rounded(rounded) == rounded);
  }
}

TEST_CASE("allocator: a freed block is given out again without asking the source") {
  size_t out = 0;
  CachingAllocator allocator(std::make_unique<LimitedSource>(1 << 20, &out));
  void* first = allocator.allocate(1000);
  allocator.deallocate(first, 1000);
  CHECK(allocator.counters().cached_bytes == 1024);
  CHECK(allocator.allocate(1010) == first);
  const MemoryCounters counters = allocator.counters();
  CHECK(counters.system_calls == 1);
  CHECK(counters.live_bytes == 1024);
  CHECK(counters.live_blocks == 1);
  CHECK(counters.cached_bytes == 0);
  allocator.deallocate(first, 1010);
  CHECK(allocator.counters().peak_bytes == 1024);
  allocator.reset_peak();
  CHECK(allocator.counters().peak_bytes == 0);
}

TEST_CASE("allocator: on exhaustion the cache is flushed, then it throws") {
  size_t out = 0;
  CachingAllocator allocator(std::make_unique<LimitedSource>(4096, &out));
  void* small = allocator.allocate(1024);
  allocator.deallocate(small, 1024);
  void* large = allocator.allocate(4096);  // fits only once the cached block is back
  CHECK(out == 4096);
  CHECK_THROWS_WITH_AS(allocator.allocate(256),
                       "out of memory: 256 bytes requested, 4096 bytes live, peak 4096", OutOfMemory);
  allocator.deallocate(large, 4096);
  allocator.release_cached();
  CHECK(out == 0);
}

TEST_CASE("allocator: a source that knows what is left and what to do is asked") {
  class Advising final : public MemorySource {
   public:
    void* acquire(size_t bytes) override { return bytes > 4096 ? nullptr : std::aligned_alloc(64, bytes); }
    void release(void* block, size_t) override { std::free(block); }
    size_t available() const override { return 1000; }
    std::string advice() const override { return "ask for less"; }
  };
  CachingAllocator allocator(std::make_unique<Advising>());
  CHECK_THROWS_WITH_AS(allocator.allocate(8192),
                       "out of memory: 8192 bytes requested, 0 bytes live, peak 0; ask for less", InputError);
  allocator.deallocate(allocator.allocate(1024), 1024);
  CHECK(allocator.available() == 1000 + 1024);
  CHECK(backend_for(Device::cpu()).allocator().available() == SIZE_MAX);
}

TEST_CASE("allocator: memory fresh from a source of zeros is distinguished from used memory") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  constexpr size_t bytes = (size_t{5} << 20) + 12345;  // large: mapped, and of no other test's size
  bool cleared = false;
  void* block = allocator.allocate(bytes, &cleared);
  CHECK(cleared);
  CHECK(static_cast<const char*>(block)[bytes - 1] == 0);
  std::fill_n(static_cast<char*>(block), bytes, 'x');
  allocator.deallocate(block, bytes);
  allocator.deallocate(allocator.allocate(bytes, &cleared), bytes);
  CHECK_FALSE(cleared);
  const Tensor used = Tensor::zeros({static_cast<int64_t>(bytes)}, Dtype::u8);
  CHECK(used.data<uint8_t>()[bytes / 2] == 0);
  allocator.deallocate(allocator.allocate(64, &cleared), 64);  // small: of the heap
  CHECK_FALSE(cleared);
}

TEST_CASE("allocator: destroying it returns what it kept") {
  size_t out = 0;
  {
    CachingAllocator allocator(std::make_unique<LimitedSource>(1 << 20, &out));
    allocator.deallocate(allocator.allocate(5000), 5000);
    CHECK(out > 0);
  }
  CHECK(out == 0);
}

TEST_CASE("allocator of the CPU: tensors take from it and give back, aligned to 64 bytes") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const MemoryCounters before = allocator.counters();
  {
    const Tensor small = Tensor::empty({3}), large = Tensor::empty({3000000});
    CHECK(reinterpret_cast<uintptr_t>(small.raw_data()) % 64 == 0);
    CHECK(reinterpret_cast<uintptr_t>(large.raw_data()) % 64 == 0);
    CHECK(allocator.counters().live_blocks == before.live_blocks + 2);
  }
  CHECK(allocator.counters().live_bytes == before.live_bytes);
  CHECK(allocator.counters().live_blocks == before.live_blocks);
}

TEST_CASE("allocator: what a reserve was given serves nobody else until it is released") {
  size_t out = 0;
  CachingAllocator allocator(std::make_unique<LimitedSource>(100000, &out));
  void* before = allocator.allocate(1000);
  const int64_t reserve = allocator.begin_reserve();
  CHECK_THROWS_AS(allocator.begin_reserve(), Error);
  void* passing = allocator.allocate(1000);
  allocator.deallocate(passing, 1000);
  CHECK(allocator.allocate(1000) == passing);  // used again within the reserve
  allocator.deallocate(passing, 1000);
  allocator.pause_reserve();
  void* apart = allocator.allocate(1000);  // not what the reserve has written
  CHECK(apart != passing);
  allocator.deallocate(apart, 1000);
  allocator.resume_reserve();
  CHECK(allocator.allocate(1000) == passing);
  void* staying = allocator.allocate(1000);
  allocator.deallocate(passing, 1000);
  allocator.deallocate(before, 1000);
  allocator.end_reserve();
  allocator.release_cached();
  CHECK(allocator.counters().cached_bytes == 2 * CachingAllocator::rounded(1000));
  void* other = allocator.allocate(1000);
  for (const void* reserved : {before, passing, staying}) CHECK(other != reserved);
  allocator.deallocate(staying, 1000);  // late, and all the same the reserve's
  void* another = allocator.allocate(1000);
  CHECK(another != staying);
  allocator.release_reserve(reserve);
  allocator.release_reserve(reserve);  // there is none any more
  allocator.release_cached();
  CHECK(out == 2 * CachingAllocator::rounded(1000));  // of the two that are out still
  CHECK(allocator.counters().cached_bytes == 0);
  for (void* block : {other, another}) allocator.deallocate(block, 1000);
}

TEST_CASE("allocator: while a reserve is open the source gets nothing back") {
  size_t out = 0;
  CachingAllocator allocator(std::make_unique<LimitedSource>(3000, &out));
  allocator.deallocate(allocator.allocate(2000), 2000);
  const size_t cached = out;
  const int64_t reserve = allocator.begin_reserve();
  allocator.release_cached();
  CHECK_THROWS_AS(allocator.allocate(2800), OutOfMemory);  // a flush would make room for it
  allocator.pause_reserve();
  CHECK_THROWS_AS(allocator.allocate(2800), OutOfMemory);
  CHECK(out == cached);
  allocator.end_reserve();
  allocator.deallocate(allocator.allocate(2800), 2800);
  allocator.release_reserve(reserve);
}

TEST_CASE("allocator: a block that the source fails to take back is in no list any more") {
  // As a GPU after a fault: from the third on, no block is taken back.
  struct Failing final : MemorySource {
    std::vector<void*>& released;
    explicit Failing(std::vector<void*>& released) : released(released) {}
    void* acquire(size_t bytes) override { return std::aligned_alloc(64, bytes); }
    void release(void* block, size_t) override {
      for (const void* earlier : released) CHECK(earlier != block);
      released.push_back(block);
      std::free(block);
      if (released.size() >= 3) fail("free: the device has failed");
    }
  };
  std::vector<void*> released;
  {
    CachingAllocator allocator(std::make_unique<Failing>(released));
    std::vector<void*> blocks;
    for (int i = 0; i < 6; ++i) blocks.push_back(allocator.allocate(1000));
    for (void* block : blocks) allocator.deallocate(block, 1000);
    CHECK_THROWS_AS(allocator.release_cached(), Error);
    CHECK(released.size() == 3);
    CHECK(allocator.counters().cached_bytes == 3 * CachingAllocator::rounded(1000));
    void* block = allocator.allocate(1000);
    for (const void* gone : released) CHECK(block != gone);
    allocator.deallocate(block, 1000);
    CHECK_THROWS_AS(allocator.release_cached(), Error);
  }  // and the destructor, which fails in silence
  CHECK(released.size() == 6);
  static_assert(noexcept(std::declval<CachingAllocator&>().deallocate(nullptr, 1)));
}

TEST_CASE("allocator of the CPU: threads may take, pass on and give back tensors" *
          doctest::test_suite("threads")) {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const int64_t before = allocator.counters().live_blocks;
  {
    std::vector<Tensor> passed_on(4);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < passed_on.size(); ++i) {
      threads.emplace_back([&passed_on, i] {
        for (int64_t round = 0; round < 200; ++round) {
          const Tensor other = Tensor::full({round % 7 + 1}, static_cast<double>(i));
          passed_on[i] = Tensor::full({100 * (round % 5) + 1}, static_cast<double>(i));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < passed_on.size(); ++i)
      CHECK(passed_on[i].to_vector<float>().back() == static_cast<float>(i));
  }
  CHECK(allocator.counters().live_blocks == before);
}
