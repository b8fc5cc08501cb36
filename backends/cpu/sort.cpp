// sort and topk of rows. Both use one strict order of (value, index): NaN after everything else, equal
// values by index.
#include <algorithm>
#include <vector>

#include "backends/common/convert.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

template <class T>
struct Item {
  Compute<T> value;
  int64_t index;
};

// Calls function(before), before(a, b) being the strict order that is asked for.
template <class T, class Function>
void with_order(bool descending, const Function& function) {
  const auto by_index_or_nan = [](const Item<T>& a, const Item<T>& b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    return a_nan == b_nan ? a.index < b.index : b_nan;
  };
  if (descending) {
    function([=](const Item<T>& a, const Item<T>& b) {
      return a.value > b.value || (!(a.value < b.value) && by_index_or_nan(a, b));
    });
  } else {
    function([=](const Item<T>& a, const Item<T>& b) {
      return a.value < b.value || (!(a.value > b.value) && by_index_or_nan(a, b));
    });
  }
}

// Items of x (width), the first `count` among them. Where few of many are wanted, a sample shows how far down they reach: what
// is behind its item at twice the expected place, and some more, is left out. Should too few be left, all items are taken.
template <class T, class Before>
void find_candidates(const T* x, int64_t width, int64_t count, const Before& before,
                     std::vector<Item<T>>& items) {
  constexpr int64_t step = 64, some = 16;
  const auto item = [&](int64_t i) { return Item<T>{static_cast<Compute<T>>(x[i]), i}; };
  items.clear();
  const int64_t place = 2 * count / step + some;
  if (place * 8 < width / step) {
    for (int64_t i = 0; i < width; i += step) items.push_back(item(i));
    std::nth_element(items.begin(), items.begin() + place, items.end(), before);
    const Item<T> last = items[static_cast<size_t>(place)];
    items.clear();
    for (int64_t i = 0; i < width; ++i)
      if (!before(last, item(i))) items.push_back(item(i));
    if (static_cast<int64_t>(items.size()) >= count) return;
    items.clear();
  }
  items.reserve(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; ++i) items.push_back(item(i));
}

// The first `count` items of each row in the order asked for.
template <class T>
void sort_rows(const Tensor& x, int64_t count, bool descending, const Tensor& values, const Tensor& indices) {
  const int64_t rows = x.size(0), width = x.size(1);
  const T* source = x.data<T>();
  T* sorted = values.data<T>();
  int64_t* places = indices.data<int64_t>();
  with_order<T>(descending, [&](auto before) {
    parallel_for(rows, row_grain(width * 8), [&](int64_t begin, int64_t end) {
      std::vector<Item<T>> items;
      for (int64_t row = begin; row < end; ++row) {
        find_candidates(source + row * width, width, count, before, items);
        const auto middle = items.begin() + count;
        if (middle != items.end()) std::nth_element(items.begin(), middle, items.end(), before);
        std::sort(items.begin(), middle, before);
        for (int64_t i = 0; i < count; ++i) {
          sorted[row * count + i] = static_cast<T>(items[static_cast<size_t>(i)].value);
          places[row * count + i] = items[static_cast<size_t>(i)].index;
        }
      }
    });
  });
}

}  // namespace

void sort(const Tensor& x, bool descending, const Tensor& values, const Tensor& indices) {
  visit(x.dtype(), [&](auto type) { sort_rows<decltype(type)>(x, x.size(1), descending, values, indices); });
}

void topk(const Tensor& x, int64_t k, bool largest, const Tensor& values, const Tensor& indices) {
  visit(x.dtype(), [&](auto type) { sort_rows<decltype(type)>(x, k, largest, values, indices); });
}

void kth_largest(const Tensor& x, const Tensor& k, const Tensor& out) {
  const int64_t count = *k.data<int64_t>();
  const Tensor values = Tensor::empty({1, count}, x.dtype()), indices = Tensor::empty({1, count}, Dtype::i64);
  topk(x.reshape({1, x.numel()}), count, true, values, indices);
  out.copy_from(values.select(0, 0).slice(0, count - 1, count));
}

}  // namespace nabla::cpu
