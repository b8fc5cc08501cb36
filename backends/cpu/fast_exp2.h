// A power of 2 for results that become bf16.
#pragma once

#ifdef __AVX512BF16__

#include <immintrin.h>

namespace nabla {

// 2^x = 2^n 2^r, n <= x an integer: a minimax fit of 2^r, off by 8e-5 of it, where bf16 rounds by up to 2e-3.
inline __m512 fast_exp2(__m512 x) {
  // With a mask of all lanes, as GCC 12 warns that these two read uninitialised memory without one.
  constexpr __mmask16 all = 0xffff;
  const __m512 r = _mm512_maskz_reduce_ps(all, x, _MM_FROUND_TO_NEG_INF);
  __m512 sum = _mm512_set1_ps(0.0780245212f);
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.226067158f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.69583354f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.999925219f));
  return _mm512_maskz_scalef_ps(all, sum, x);
}

}  // namespace nabla

#endif
