#include "tests/backends/cuda_emulator/block.h"

#include <cuda_runtime.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "tests/backends/cuda_emulator/fiber.h"

namespace emulator {

namespace {

constexpr unsigned lanes = 32;

struct Thread {
  enum class State { ready, at_block_barrier, at_warp_barrier, done };
  State state = State::ready;
  Fiber* fiber = nullptr;
  Place place;                 // where it waits
  bool orders_memory = false;  // and is that a barrier of the warp's memory
  unsigned exchanges = 0;      // so far
};
using State = Thread::State;

bool same_place(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() && std::string_view(a.file_name()) == b.file_name();
}

enum class Order { ascending, descending, random };

Observer* observer = nullptr;

class Block {
 public:
  void run(unsigned number, unsigned threads, size_t shared, Order order, const std::function<void()>& body);
  void wait(State state, const Place& place, bool orders_memory);
  void* slot(unsigned lane);
  void end_exchange() { ++running_->exchanges; }
  float* shared() { return reinterpret_cast<float*>(shared_.data()); }

 private:
  struct Slots {
    alignas(slot_bytes) char bytes[2][lanes][slot_bytes];  // exchanges take turns
  };
  struct alignas(128) Chunk {
    char bytes[128];
  };
  static constexpr unsigned char unset = 0xff;  // a NaN in every type
  static constexpr size_t guard = 1024;

  static void run_fiber();
  void arrange(Order order);
  void start_all();
  void pass_block_barrier();
  bool advance_warp(unsigned first);
  void continue_thread(Thread& thread);
  bool all_in(unsigned first, unsigned end, State state) const;
  unsigned number_of(const Thread& thread) const { return static_cast<unsigned>(&thread - threads_.data()); }

  std::vector<Thread> threads_;
  std::vector<Slots> slots_;
  std::vector<Chunk> shared_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  size_t fibers_used_ = 0;
  unsigned started_ = 0;
  std::vector<unsigned> order_;  // of the threads' numbers
  std::mt19937 random_{seed_of_orders()};
  const std::function<void()>* body_ = nullptr;
  Thread* running_ = nullptr;
};

Block& block() {
  static Block& block = *new Block;
  return block;
}

// Threads that never wait follow each other on one fiber.
void Block::run_fiber() {
  Block& b = block();
  Fiber* const fiber = b.fibers_[b.fibers_used_ - 1].get();
  while (true) {
    const unsigned count = static_cast<unsigned>(b.threads_.size());
    while (b.started_ < count) {
      const unsigned number = b.order_[b.started_++];
      Thread& thread = b.threads_[number];
      thread.fiber = fiber;
      b.running_ = &thread;
      threadIdx = {number, 0, 0};
      (*b.body_)();
      b.threads_[number].state = State::done;
    }
    fiber->yield();
  }
}

// In which order threads start or go on. A random one is of warps; a warp's lanes stay together.
void Block::arrange(Order order) {
  order_.resize(threads_.size());
  std::iota(order_.begin(), order_.end(), 0u);
  if (order == Order::descending) std::reverse(order_.begin(), order_.end());
  if (order != Order::random) return;
  std::vector<unsigned> warps(slots_.size());
  std::iota(warps.begin(), warps.end(), 0u);
  std::shuffle(warps.begin(), warps.end(), random_);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](unsigned a, unsigned b) { return warps[a / lanes] < warps[b / lanes]; });
}

void Block::start_all() {
  while (started_ < threads_.size()) {
    if (fibers_used_ == fibers_.size()) fibers_.push_back(std::make_unique<Fiber>(&Block::run_fiber));
    fibers_[fibers_used_++]->resume();
  }
}

void Block::continue_thread(Thread& thread) {
  running_ = &thread;
  threadIdx = {number_of(thread), 0, 0};
  thread.state = State::ready;
  thread.fiber->resume();
}

void Block::wait(State state, const Place& place, bool orders_memory) {
  running_->state = state;
  running_->place = place;
  running_->orders_memory = orders_memory;
  running_->fiber->yield();
}

void* Block::slot(unsigned lane) {
  const unsigned number = number_of(*running_);
  return slots_[number / lanes].bytes[running_->exchanges % 2][lane];
}

bool Block::all_in(unsigned first, unsigned end, State state) const {
  return std::all_of(threads_.begin() + first, threads_.begin() + end,
                     [&](const Thread& thread) { return thread.state == state; });
}

// Lets the lanes go past their warp's barriers; whether any was there.
bool Block::advance_warp(unsigned first) {
  const unsigned end = std::min<unsigned>(first + lanes, static_cast<unsigned>(threads_.size()));
  bool any = false;
  while (true) {
    const auto waits = [](const Thread& thread) { return thread.state == State::at_warp_barrier; };
    const auto waiting = std::find_if(threads_.begin() + first, threads_.begin() + end, waits);
    if (waiting == threads_.begin() + end) return any;
    const Place place = waiting->place;
    for (unsigned i = first; i < end; ++i) {
      if (!waits(threads_[i]) || !same_place(threads_[i].place, place) || end - first < lanes) {
        throw Fault(fmt::format("{}:{}: not all lanes of a warp come here (block {}, thread {})",
                                place.file_name(), place.line(), blockIdx.x, i));
      }
    }
    any = true;
    if (observer && waiting->orders_memory) observer->meet_warp(first / lanes, place);
    const bool descending = order_[0] > order_[1];
    for (unsigned n = 0; n < lanes; ++n) continue_thread(threads_[descending ? end - 1 - n : first + n]);
  }
}

// For threads of which none can go on but past the block's barrier.
void Block::pass_block_barrier() {
  const auto waits = [](const Thread& thread) { return thread.state == State::at_block_barrier; };
  const Place place = std::find_if(threads_.begin(), threads_.end(), waits)->place;
  for (const Thread& thread : threads_) {
    if (!waits(thread) || !same_place(thread.place, place)) {
      throw Fault(fmt::format("{}:{}: not all threads of a block come here (block {}, thread {})",
                              place.file_name(), place.line(), blockIdx.x, number_of(thread)));
    }
  }
  if (observer) observer->meet_block(place);
  for (const unsigned i : order_) continue_thread(threads_[i]);
}

void Block::run(unsigned number, unsigned threads, size_t shared, Order order,
                const std::function<void()>& body) {
  blockIdx = {number, 0, 0};
  threads_.assign(threads, {});
  slots_.resize((threads + lanes - 1) / lanes);
  shared_.resize((shared + guard) / sizeof(Chunk) + 1);
  std::memset(shared_.data(), unset, shared_.size() * sizeof(Chunk));
  started_ = 0, fibers_used_ = 0, body_ = &body;
  arrange(order);
  if (observer) observer->begin_block(shared_.data(), shared);
  try {
    start_all();
    while (true) {
      for (unsigned n = 0; n < threads; ++n) {
        if (order_[n] % lanes == 0) advance_warp(order_[n]);
      }
      if (all_in(0, threads, State::done)) break;
      if (order == Order::random) arrange(order);
      pass_block_barrier();
    }
  } catch (...) {
    fibers_.clear();  // they are in the middle of a kernel
    throw;
  }
  const char* bytes = reinterpret_cast<const char*>(shared_.data());
  const bool intact = std::all_of(bytes + shared, bytes + shared + guard,
                                  [](char byte) { return static_cast<unsigned char>(byte) == unset; });
  if (!intact)
    throw Fault(fmt::format("block {} wrote behind its {} bytes of shared memory", number, shared));
  if (observer) observer->end_block();
}

}  // namespace

uint32_t seed_of_orders() {
  static const char* const given = std::getenv("DINOMALY_EMULATED_SEED");
  static const uint32_t seed = given ? static_cast<uint32_t>(std::atoll(given)) : std::random_device()();
  return seed;
}

void observe(Observer* told) { observer = told; }
float* dynamic_shared() { return block().shared(); }
void sync_block(const Place& place) { block().wait(State::at_block_barrier, place, true); }
void sync_warp(const Place& place, bool orders_memory) {
  block().wait(State::at_warp_barrier, place, orders_memory);
}
void* exchange_slot(unsigned lane) { return block().slot(lane); }
void end_exchange() { block().end_exchange(); }

void run_grid(const void* kernel, unsigned blocks, unsigned threads, size_t shared,
              const std::function<void()>& body) {
  static unsigned turn = 0;  // so that grids of one block have every order, too
  gridDim = {blocks, 1, 1};
  blockDim = {threads, 1, 1};
  if (observer) observer->begin_kernel(kernel);
  for (unsigned number = 0; number < blocks; ++number) {
    block().run(number, threads, shared, static_cast<Order>((turn + number) % 3), body);
  }
  turn = (turn + 1) % 3;
}

}  // namespace emulator
