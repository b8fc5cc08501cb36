// The measured peak of this machine, as the reference for the kernels.
#pragma once

#include <cstddef>

namespace dinomaly {

// f32 multiply-adds on registers, on `threads` threads at once: 10^9 operations per second, two
// for each multiply-add.
double peak_gflops(int threads);

// The same for products of int8, two operations for each product and its addition, by what the kernels multiply with: AMX's
// tiles, vpdpbusd or pmaddwd. 0 where there is none of them.
double peak_int8_gops(int threads);

// memcpy of `bytes` per thread group, split over `threads`: 10^9 bytes read and written per second. Small
// blocks stay in the caches, so kernels are compared with a copy of as many bytes as they move.
double peak_copy_gb(size_t bytes, int threads);

}  // namespace dinomaly
