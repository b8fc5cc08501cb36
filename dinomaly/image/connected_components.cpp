#include "dinomaly/image/connected_components.h"

#include <algorithm>
#include <limits>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {
namespace {

// Provisional labels; the parent of a label is never larger, roots are their own.
class UnionFind {
 public:
  int32_t add() {
    parents_.push_back(static_cast<int32_t>(parents_.size()));
    return parents_.back();
  }
  int32_t root(int32_t label) {
    while (parents_[label] != label) {
      parents_[label] = parents_[parents_[label]];
      label = parents_[label];
    }
    return label;
  }
  int32_t unite(int32_t a, int32_t b) {
    a = root(a), b = root(b);
    parents_[std::max(a, b)] = std::min(a, b);
    return std::min(a, b);
  }
  // Numbers the roots 1, 2, ... in order; returns the final number of every label. Label 0 is the background.
  std::vector<int32_t> numbers() {
    std::vector<int32_t> result(parents_.size(), 0);
    int32_t count = 0;
    for (size_t label = 1; label < parents_.size(); ++label) {
      const int32_t own_root = root(static_cast<int32_t>(label));
      result[label] = own_root == static_cast<int32_t>(label) ? ++count : result[own_root];
    }
    return result;
  }

 private:
  std::vector<int32_t> parents_{0};
};

// Labels pixel x of a row from its neighbours already visited: `row[x - 1]` and three of
// `above` (null: none).
int32_t label_pixel(const int32_t* row, const int32_t* above, int64_t x, int64_t width, UnionFind& sets) {
  const int32_t left = x > 0 ? row[x - 1] : 0;
  if (above == nullptr) return left != 0 ? left : sets.add();
  // The pixel above touches all the other neighbours, so they already have its label.
  if (above[x] != 0) return above[x];
  const int32_t above_right = x + 1 < width ? above[x + 1] : 0;
  const int32_t earlier = left != 0 ? left : (x > 0 ? above[x - 1] : 0);  // left touches above-left
  if (above_right == 0) return earlier != 0 ? earlier : sets.add();
  return earlier != 0 ? sets.unite(earlier, above_right) : above_right;
}

}  // namespace

Regions connected_components(std::span<const uint8_t> mask, int64_t height, int64_t width) {
  check(height >= 0 && width >= 0 && mask.size() < std::numeric_limits<int32_t>::max() &&
            (width == 0 ? mask.empty()
                        : static_cast<int64_t>(mask.size()) / width == height &&
                              static_cast<int64_t>(mask.size()) % width == 0),
        "connected_components: {} pixels are not {} x {}, or too many", mask.size(), height, width);
  Regions result;
  result.labels.assign(mask.size(), 0);
  UnionFind sets;
  for (int64_t y = 0; y < height; ++y) {
    int32_t* row = result.labels.data() + y * width;
    const int32_t* above = y > 0 ? row - width : nullptr;
    const uint8_t* pixels = mask.data() + y * width;
    for (int64_t x = 0; x < width; ++x) {
      if (pixels[x] != 0) row[x] = label_pixel(row, above, x, width, sets);
    }
  }
  const std::vector<int32_t> numbers = sets.numbers();
  result.sizes.assign(*std::max_element(numbers.begin(), numbers.end()), 0);
  for (int32_t& label : result.labels) {
    if (label == 0) continue;
    label = numbers[label];
    ++result.sizes[label - 1];
  }
  return result;
}

}  // namespace dinomaly
