// Sorting by 32-bit keys, for tens of millions of pixels.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tensor/threads.h"

namespace dinomaly {

// Ascending keys are descending scores; -0 and +0 have one key. Not for NaN.
inline uint32_t descending_key(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  return ~(bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u));
}

// What is sorted: a key alone, or a key in the upper half and anything in the lower.
inline uint32_t key_of(uint32_t record) { return record; }
inline uint32_t key_of(uint64_t record) { return static_cast<uint32_t>(record >> 32); }

// One stable pass of radix_sort by bits [shift, shift + digit_bits): each thread counts the digits of its
// piece, then moves it to where all smaller digits, and the same digit in earlier pieces, leave room.
constexpr int digit_bits = 8;
template <class Record>
void radix_pass(std::span<const Record> from, Record* to, int shift) {
  constexpr size_t digits = size_t{1} << digit_bits;
  const auto digit = [shift](Record record) { return (key_of(record) >> shift) & (digits - 1); };
  const int threads = from.size() < 100'000 ? 1 : nabla::num_threads();
  std::vector<std::array<size_t, digits>> places(static_cast<size_t>(threads));
  nabla::parallel_tasks(threads, [&](int64_t t) {
    places[t].fill(0);
    for (size_t i = from.size() * t / threads; i < from.size() * (t + 1) / threads; ++i)
      ++places[t][digit(from[i])];
  });
  size_t place = 0;
  for (size_t d = 0; d < digits; ++d) {
    for (auto& own : places) place += std::exchange(own[d], place);
  }
  nabla::parallel_tasks(threads, [&](int64_t t) {
    std::array<size_t, digits> next = places[t];
    for (size_t i = from.size() * t / threads; i < from.size() * (t + 1) / threads; ++i) {
      to[next[digit(from[i])]++] = from[i];
    }
  });
}

// Sorts by key_of, stably, in time proportional to the number of records and with one copy of
// them as scratch.
template <class Record>
void radix_sort(std::vector<Record>& records) {
  static_assert(32 / digit_bits % 2 == 0, "an even number of passes ends where it began");
  const auto scratch = std::make_unique_for_overwrite<Record[]>(records.size());
  const std::span<const Record> here(records), there(scratch.get(), records.size());
  for (int shift = 0; shift < 32; shift += 2 * digit_bits) {
    radix_pass(here, scratch.get(), shift);
    radix_pass(there, records.data(), shift + digit_bits);
  }
}

}  // namespace dinomaly
