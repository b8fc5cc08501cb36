// Where a threshold lies among scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dinomaly {

// The k-th smallest score with k = ceil((n + 1)(1 - rate)), at most n: if the scores are exchangeable with a
// further one, that one is above it with probability at most (n + 1 - k) / (n + 1) (split conformal
// prediction). Throws InputError without scores.
double good_quantile(std::vector<float> scores, double rate);
double promised_rate(int64_t count, double rate);
// The fewest good images that can promise `rate`.
int64_t images_needed(double rate);

// The threshold of "score > threshold" with the largest F1: half way between the last score called anomalous
// and the next lower one. Throws InputError if a class is absent or a score not finite.
double best_f1_threshold(std::span<const float> scores, std::span<const uint8_t> labels);

}  // namespace dinomaly
