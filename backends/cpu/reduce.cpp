// Sums and maxima over the middle axis of (outer, n, inner), and the place of the maximum.
//
// The work is cut into units of a fixed size (one outer index, a piece of n, a block of inner columns), each
// leaving a partial result; units run in parallel and partial results are combined in order, so the result
// does not depend on the number of threads. Floating sums are held in f64.
#include <algorithm>
#include <limits>
#include <vector>

#include "backends/common/convert.h"
#include "tensor/elementwise.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

template <class T>
struct Sum {
  using Partial = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  static constexpr Partial identity() { return 0; }
  static Partial combine(Partial a, Partial b) { return a + b; }
};

template <class T>
struct Max {
  using Partial = Compute<T>;
  static constexpr Partial identity() {
    if constexpr (std::is_integral_v<T>)
      return std::numeric_limits<T>::lowest();
    else
      return -std::numeric_limits<Partial>::infinity();
  }
  static Partial combine(Partial a, Partial b) { return elementwise::Maximum{}(a, b); }
};

struct Units {
  int64_t outer, n, inner;
  int64_t columns;  // in one block
  int64_t rows;     // in one piece of n
  int64_t blocks, pieces;

  Units(int64_t outer, int64_t n, int64_t inner) : outer(outer), n(n), inner(inner) {
    columns = std::min<int64_t>(inner, 1024);
    rows = std::max<int64_t>(32, 2 * parallel_grain / columns);
    blocks = (inner + columns - 1) / columns;
    pieces = std::max<int64_t>(1, (n + rows - 1) / rows);
  }
  int64_t count() const { return outer * pieces * blocks; }
};

// A run of neighbouring elements into one number, by way of 16 lanes that fill vector registers.
template <class Op, class T>
typename Op::Partial reduce_run(const T* x, int64_t count) {
  using Partial = typename Op::Partial;
  constexpr int lanes = 16;
  Partial lane[lanes];
  for (Partial& value : lane) value = Op::identity();
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int k = 0; k < lanes; ++k)
      lane[k] = Op::combine(lane[k], static_cast<Partial>(static_cast<Compute<T>>(x[i + k])));
  }
  Partial result = Op::identity();
  for (; i < count; ++i) result = Op::combine(result, static_cast<Partial>(static_cast<Compute<T>>(x[i])));
  for (Partial value : lane) result = Op::combine(result, value);
  return result;
}

// Unit number `unit` of x into partial (outer, pieces, inner).
template <class Op, class T>
void reduce_unit(const Units& units, int64_t unit, const T* x, typename Op::Partial* partial) {
  using Partial = typename Op::Partial;
  const int64_t block = unit % units.blocks, cell = unit / units.blocks;  // cell: (outer, piece)
  const int64_t row_begin = cell % units.pieces * units.rows;
  const int64_t row_end = std::min(row_begin + units.rows, units.n);
  const int64_t column = block * units.columns;
  const int64_t width = std::min(units.columns, units.inner - column);
  const T* source = x + (cell / units.pieces * units.n + row_begin) * units.inner + column;
  Partial* sums = partial + cell * units.inner + column;
  if (units.inner == 1) {
    *sums = reduce_run<Op>(source, row_end - row_begin);
    return;
  }
  for (int64_t j = 0; j < width; ++j) sums[j] = Op::identity();
  for (int64_t row = row_begin; row < row_end; ++row, source += units.inner) {
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      sums[j] = Op::combine(sums[j], static_cast<Partial>(static_cast<Compute<T>>(source[j])));
    }
  }
}

template <class Op, class T>
void reduce_all(const Tensor& x, const Tensor& out) {
  const Units units(x.size(0), x.size(1), x.size(2));
  const T* source = x.data<T>();
  T* target = out.data<T>();
  std::vector<typename Op::Partial> partial(static_cast<size_t>(units.outer * units.pieces * units.inner));
  parallel_for(units.count(), row_grain(std::min(units.rows, units.n) * units.columns),
               [&](int64_t begin, int64_t end) {
                 for (int64_t unit = begin; unit < end; ++unit)
                   reduce_unit<Op>(units, unit, source, partial.data());
               });
  parallel_for(units.outer * units.inner, row_grain(units.pieces), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto* first =
          &partial[static_cast<size_t>(i / units.inner * units.pieces * units.inner + i % units.inner)];
      auto result = *first;
      for (int64_t piece = 1; piece < units.pieces; ++piece)
        result = Op::combine(result, first[piece * units.inner]);
      target[i] = static_cast<T>(static_cast<Compute<T>>(result));
    }
  });
}

}  // namespace

void reduce(Reduce op, const Tensor& x, const Tensor& out) {
  if (out.numel() == 0) return;
  visit(x.dtype(), [&](auto type) {
    using T = decltype(type);
    if (op == Reduce::max)
      reduce_all<Max<T>, T>(x, out);
    else
      reduce_all<Sum<T>, T>(x, out);
  });
}

void arg_max(const Tensor& x, const Tensor& out) {
  const int64_t n = x.size(1), inner = x.size(2);
  visit(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* source = x.data<T>();
    int64_t* target = out.data<int64_t>();
    parallel_for(out.numel(), row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* column = source + i / inner * n * inner + i % inner;
        int64_t best = 0;
        auto largest = static_cast<Compute<T>>(column[0]);
        // The first NaN wins, as it does in the maximum; after it no comparison is true.
        // NOLINTBEGIN(misc-redundant-expression): a value is compared with itself to find NaN.
        for (int64_t row = 1; row < n && largest == largest; ++row) {
          const auto value = static_cast<Compute<T>>(column[row * inner]);
          if (value > largest || value != value) {
            largest = value;
            best = row;
          }
        }
        // NOLINTEND(misc-redundant-expression)
        target[i] = best;
      }
    });
  });
}

}  // namespace nabla::cpu
