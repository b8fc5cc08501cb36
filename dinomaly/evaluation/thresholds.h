// A walk down the scores of both classes at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dinomaly/evaluation/radix_sort.h"

namespace dinomaly {

// One distinct score that positives have.
struct Threshold {
  size_t begin, end;  // the positives with this score, among the sorted ones
  size_t negatives_above, negatives_equal;
};

// Calls visit(Threshold) for each distinct score of the positives, highest first. Both are sorted by key.
template <class Positive, class Visit>
void for_each_threshold(std::span<const Positive> positives, std::span<const uint32_t> negatives,
                        Visit visit) {
  size_t above = 0;
  for (size_t begin = 0; begin < positives.size();) {
    const uint32_t key = key_of(positives[begin]);
    size_t end = begin;
    while (end < positives.size() && key_of(positives[end]) == key) ++end;
    while (above < negatives.size() && negatives[above] < key) ++above;
    size_t past = above;
    while (past < negatives.size() && negatives[past] == key) ++past;
    visit(Threshold{begin, end, above, past - above});
    begin = end;
    above = past;
  }
}

}  // namespace dinomaly
