// Products of int8 whose sums, in int32, stay in registers: a tile of 6 rows by 64 columns at a time. The unit of
// everything is a word of 32 bits, with some elements of one row of a or, in the same order, of one column of b:
//
//   BytesInWords  four: u8 of a times i8 of b, by vpdpbusd (AVX512-VNNI, AVX-VNNI). a is stored with 128 added, and the
//                 sums begin with what that is too much, -128 sum(b). Four products and a sum are one instruction.
//   PairsInWords  two: i16 times i16, by pmaddwd, then an addition, for all other processors with SSE2, AVX2 or AVX512BW
//                 (strassen_product.h). pmaddubsw, which multiplies bytes, holds sums of two in 16 bits, and 255 * 127 twice
//                 does not fit: it would saturate. Split into 7 bits and a rest, it takes as long as pmaddwd for all.
//   SignedBytes   four: i8 of a times i8 of b, by sdot (NEON with dot products).
//   ByteBlocks    the same words, multiplied as matrices of 2 rows by 8 bytes, by smmla (NEON with int8 matrix products):
//                 twice as many products for each instruction.
//
// No intermediate result leaves 32 bits: the sums are exact whoever multiplies.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace nabla {

// Rows and columns of one tile of the output, and its sums.
inline constexpr int64_t tile_rows = 6, tile_columns = 64;
using IntegerTile = int32_t[tile_rows * tile_columns];

#if defined(__SSE2__) || defined(__aarch64__)

// Words of a vector, and vectors side by side in a strip of columns, with sums for 6 rows in registers: 24 of AVX512's and
// NEON's 32 or 12 of 16.
#ifdef __aarch64__
inline constexpr int64_t word_lanes = 4, strip_vectors = 4;
#elif defined(__AVX512BW__)
inline constexpr int64_t word_lanes = 16, strip_vectors = 4;
#elif defined(__AVX2__)
inline constexpr int64_t word_lanes = 8, strip_vectors = 2;
#else
inline constexpr int64_t word_lanes = 4, strip_vectors = 2;
#endif
inline constexpr int64_t strip_columns = word_lanes * strip_vectors;
using WordVector __attribute__((vector_size(4 * word_lanes))) = int32_t;
using WrappingVector __attribute__((vector_size(4 * word_lanes))) = uint32_t;

#ifdef __aarch64__

// The instructions stand here as such, as the compiler is not told of them: not every processor has them.
struct SignedBytes {
  using A = int8_t;
  using B = int8_t;
  static constexpr int64_t elements = 4, side_by_side = 1, step = 1;
  static constexpr int32_t offset = 0;
  static WordVector add_products(WordVector sum, int32_t a, WordVector b) {
    asm(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %2.16b, %1.4b[0]" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
  }
};

struct ByteBlocks {
  using A = int8_t;
  using B = int8_t;
  static constexpr int64_t elements = 4, side_by_side = 2, step = 4;
  static constexpr int32_t offset = 0;
  // Of a (2, 8) and b (2, 8): sum (2, 2) + a b^T.
  static WordVector add_products(WordVector sum, WordVector a, WordVector b) {
    asm(".arch armv8.2-a+i8mm\n\tsmmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
  }
};

inline bool multiplies_bytes() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }    // ASIMDDP
inline bool multiplies_blocks() { return (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }  // I8MM

#else

struct PairsInWords {
  static constexpr int64_t elements = 2;
  static WordVector add_products(WordVector sum, int32_t word, WordVector b) {
    const WordVector a = word - WordVector{};
#ifdef __AVX512BW__
    const auto products = _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
#elif defined(__AVX2__)
    const auto products = _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
#else
    const auto products = _mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b));
#endif
    return reinterpret_cast<WordVector>(reinterpret_cast<WrappingVector>(sum) +
                                        reinterpret_cast<WrappingVector>(products));
  }
};

#ifdef __AVX2__
// The instruction stands here as such: the compiler is told of it at one level only, other processors of the levels
// avx512 and avx2 have it, too.
struct BytesInWords {
  using A = uint8_t;
  using B = int8_t;
  static constexpr int64_t elements = 4, side_by_side = 1, step = 1;
  static constexpr int32_t offset = 128;  // added to each element of a
  static WordVector add_products(WordVector sum, int32_t word, WordVector b) {
    const WordVector a = word - WordVector{};
#ifdef __AVX512BW__
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#endif
    return sum;
  }
};

// Whether this processor has it; that the system saves the registers is known from the level.
inline bool multiplies_bytes() {
  static const bool has = [] {
#ifdef __AVX512BW__
    constexpr unsigned leaf = 0, bit = 11;  // of ecx: AVX512-VNNI
#else
    constexpr unsigned leaf = 1, bit = 4;  // of eax: AVX-VNNI
#endif
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, leaf, &a, &b, &c, &d) != 0 && ((leaf == 0 ? c : a) >> bit & 1) != 0;
  }();
  return has;
}
#endif
#endif

// Words for rows of depth k.
template <class Words>
int64_t words_for(int64_t k) {
  constexpr int64_t elements = Words::elements * Words::step;
  return (k + elements - 1) / elements * Words::step;
}

// sum += a b for 6 rows of a, `words` long and `words` apart, and one strip of b.
template <class Words>
[[gnu::always_inline]] inline void add_words(const int32_t* a, const int32_t* b, int64_t words,
                                             WordVector (&sum)[tile_rows][strip_vectors]) {
  if (words <= 0) __builtin_unreachable();  // or else sums may move to memory and back after the loop
  for (int64_t word = 0; word < words; ++word, b += strip_columns) {
    WordVector right[strip_vectors];
#pragma GCC unroll 4
    for (int64_t j = 0; j < strip_vectors; ++j) memcpy(&right[j], b + j * word_lanes, sizeof right[j]);
#pragma GCC unroll 6
    for (int64_t i = 0; i < tile_rows; ++i) {
      int32_t one;  // of other types' elements
      memcpy(&one, a + i * words + word, sizeof one);
#pragma GCC unroll 4
      for (int64_t j = 0; j < strip_vectors; ++j) sum[i][j] = Words::add_products(sum[i][j], one, right[j]);
    }
  }
}

// sums = start + a b for 6 rows of a, `words` long and `words` apart, and a panel of 64 columns of b, in the order of
// pack_panel(). start (64). Not inlined, so that the sums stay in registers.
template <class Words>
[[gnu::noinline]] void integer_tile(const int32_t* a, const int32_t* b, int64_t words, const int32_t* start,
                                    IntegerTile& sums) {
  for (int64_t first = 0; first < tile_columns; first += strip_columns, b += words * strip_columns) {
    WordVector sum[tile_rows][strip_vectors];
#pragma GCC unroll 6
    for (int64_t i = 0; i < tile_rows; ++i) {
#pragma GCC unroll 4
      for (int64_t j = 0; j < strip_vectors; ++j)
        memcpy(&sum[i][j], start + first + j * word_lanes, sizeof sum[i][j]);
    }
    add_words<Words>(a, b, words, sum);
#pragma GCC unroll 6
    for (int64_t i = 0; i < tile_rows; ++i) {
#pragma GCC unroll 4
      for (int64_t j = 0; j < strip_vectors; ++j)
        memcpy(sums + i * tile_columns + first + j * word_lanes, &sum[i][j], sizeof sum[i][j]);
    }
  }
}

#ifdef __aarch64__
// Adds the products of 4 words, the same of all rows and of a strip's columns, to sums of 2 rows by 2 columns.
inline void add_blocks(WordVector (&sum)[tile_rows / 2][strip_columns / 2], const int32_t* a, int64_t words,
                       const int32_t* b) {
  using Long __attribute__((vector_size(16))) = int64_t;
  Long row[tile_rows];
#pragma GCC unroll 6
  for (int64_t i = 0; i < tile_rows; ++i) memcpy(&row[i], a + i * words, sizeof row[i]);
#pragma GCC unroll 2
  for (int64_t half = 0; half < 2; ++half) {
    WordVector left[tile_rows / 2];
#pragma GCC unroll 3
    for (int64_t i = 0; i < tile_rows / 2; ++i)
      left[i] = reinterpret_cast<WordVector>(
          __builtin_shuffle(row[2 * i], row[2 * i + 1], half == 0 ? Long{0, 2} : Long{1, 3}));
#pragma GCC unroll 8
    for (int64_t j = 0; j < strip_columns / 2; ++j, b += word_lanes) {
      WordVector right;
      memcpy(&right, b, sizeof right);
#pragma GCC unroll 3
      for (int64_t i = 0; i < tile_rows / 2; ++i)
        sum[i][j] = ByteBlocks::add_products(sum[i][j], left[i], right);
    }
  }
}

// The sums begin with zeros, whatever `start` is.
template <>
[[gnu::noinline]] inline void integer_tile<ByteBlocks>(const int32_t* a, const int32_t* b, int64_t words,
                                                       const int32_t*, IntegerTile& sums) {
  for (int64_t first = 0; first < tile_columns; first += strip_columns, b += words * strip_columns) {
    WordVector sum[tile_rows / 2][strip_columns / 2] = {};
    for (int64_t word = 0; word < words; word += ByteBlocks::step)
      add_blocks(sum, a + word, words, b + word * strip_columns);
#pragma GCC unroll 3
    for (int64_t i = 0; i < tile_rows / 2; ++i) {
#pragma GCC unroll 8
      for (int64_t j = 0; j < strip_columns / 2; ++j) {
        int32_t* const to = sums + 2 * i * tile_columns + first + 2 * j;
        memcpy(to, &sum[i][j], sizeof sum[i][j] / 2);
        memcpy(to + tile_columns, reinterpret_cast<const int32_t*>(&sum[i][j]) + 2, sizeof sum[i][j] / 2);
      }
    }
  }
}
#endif

// Copies `columns` of b, rows of depth k of a matrix (n, k), into a panel: strip after strip, in each of them word after
// word of all columns, or two words after two; missing columns and elements are zeros. start (64) is what their sums begin
// with.
template <class Words>
void pack_panel(const int8_t* b, int64_t columns, int64_t k, int64_t words, int32_t* panel, int32_t* start) {
  constexpr int64_t few = 16;  // words at a time, so that reads use whole cache lines
  const int64_t whole = k / Words::elements;
  const auto put = [&](int64_t column, int64_t word, int64_t count) {
    typename Words::B elements[Words::elements] = {};
    const int8_t* const from = b + column * k + word * Words::elements;
    for (int64_t i = 0; i < count; ++i) elements[i] = from[i];
    constexpr int64_t few_words = Words::side_by_side;
    const int64_t strip = column / strip_columns * strip_columns, before = word / few_words * few_words;
    memcpy(panel + strip * words + before * strip_columns + (column - strip) * few_words + word - before,
           elements, sizeof elements);
  };
  if (columns < tile_columns || whole + 1 < words)
    memset(panel, 0, static_cast<size_t>(tile_columns * words) * sizeof *panel);
  for (int64_t word = 0; word < whole; word += few) {
    const int64_t end = word + few < whole ? word + few : whole;
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t w = word; w < end; ++w) put(c, w, Words::elements);
    }
  }
  for (int64_t c = 0; c < columns && whole < words; ++c) put(c, whole, k % Words::elements);
  memset(start, 0, tile_columns * sizeof *start);
  if constexpr (Words::offset != 0) {
    constexpr int32_t ones = 0x01010101;
    for (int64_t c = 0; c < tile_columns; c += word_lanes) {
      const int32_t* from = panel + c / strip_columns * strip_columns * words + c % strip_columns;
      WordVector sum = {};
      for (int64_t word = 0; word < words; ++word, from += strip_columns) {
        WordVector right;
        memcpy(&right, from, sizeof right);
        sum = Words::add_products(sum, ones, right);
      }
      sum *= -Words::offset;
      memcpy(start + c, &sum, sizeof sum);
    }
  }
}

#endif

}  // namespace nabla
