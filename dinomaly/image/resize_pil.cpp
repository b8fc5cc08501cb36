#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/resize.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int precision_bits = 32 - 8 - 2;

// For every output position: the first input it reads and the weights from there on.
struct Taps {
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;  // `stride` per output
  int64_t stride = 0;

  const int32_t* of(int64_t i) const { return weights.data() + i * stride; }
};

// The taps of outputs [begin, begin + count) when `in` samples become `out` (Pillow's precompute_coeffs, whose bits
// need products that are rounded before they are added: -ffp-contract=off).
// With in == out they are the identity, which is what PIL's skipping of such a pass amounts to.
Taps make_taps(int64_t in, int64_t out, int64_t begin, int64_t count) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  const double inverse = 1.0 / support;
  Taps taps;
  taps.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.resize(static_cast<size_t>(count * taps.stride));
  std::vector<double> weights(static_cast<size_t>(taps.stride));
  for (int64_t i = 0; i < count; ++i) {
    const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
    const int64_t number = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), in) - first;
    double sum = 0;
    for (int64_t j = 0; j < number; ++j) {
      const double distance = (static_cast<double>(j + first) - centre + 0.5) * inverse;
      weights[j] = std::max(0.0, 1.0 - std::abs(distance));
      sum += weights[j];
    }
    for (int64_t j = 0; j < number; ++j) {
      const double weight = sum != 0 ? weights[j] / sum : weights[j];
      taps.weights[i * taps.stride + j] = static_cast<int32_t>(0.5 + weight * (1 << precision_bits));
    }
    taps.first.push_back(first);
    taps.count.push_back(number);
  }
  return taps;
}

uint8_t byte_of_sum(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> precision_bits, 0, 255)); }

template <int channels>
void resize_row(const uint8_t* in, const Taps& taps, int64_t width, uint8_t* out) {
  for (int64_t x = 0; x < width; ++x) {
    int32_t sums[channels];
    std::fill_n(sums, channels, 1 << (precision_bits - 1));
    const uint8_t* from = in + taps.first[x] * channels;
    const int32_t* weights = taps.of(x);
    for (int64_t j = 0; j < taps.count[x]; ++j, from += channels) {
      for (int c = 0; c < channels; ++c) sums[c] += from[c] * weights[j];
    }
    for (int c = 0; c < channels; ++c) *out++ = byte_of_sum(sums[c]);
  }
}

// resize_row() for each number of channels.
template <int... zero_based>
constexpr auto resizers_of(std::integer_sequence<int, zero_based...>) {
  return std::array{&resize_row<zero_based + 1>...};
}
constexpr auto resizers = resizers_of(std::make_integer_sequence<int, most_channels>());

}  // namespace

Image resize_pil(const Image& image, const ResizeWindow& window) {
  check(image.channels >= 1 && image.channels <= most_channels, "resize_pil: {} channels", image.channels);
  const Taps across = make_taps(image.width, window.resize_w, window.left, window.crop_w);
  const Taps down = make_taps(image.height, window.resize_h, window.top, window.crop_h);

  // The rows of the image that the crop needs, resized horizontally.
  const int64_t first = down.first.front(), end = down.first.back() + down.count.back();
  Image narrow(window.crop_w, end - first, image.channels);
  const auto resize = resizers[static_cast<size_t>(image.channels - 1)];
  for (int64_t y = first; y < end; ++y) {
    resize(image.row(y), across, window.crop_w, narrow.row(y - first));
  }

  Image result(window.crop_w, window.crop_h, image.channels);
  std::vector<int32_t> sums(static_cast<size_t>(window.crop_w * image.channels));
  for (int64_t y = 0; y < window.crop_h; ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (precision_bits - 1));
    for (int64_t j = 0; j < down.count[y]; ++j) {
      const uint8_t* from = narrow.row(down.first[y] - first + j);
      const int32_t weight = down.of(y)[j];
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += from[i] * weight;
    }
    std::transform(sums.begin(), sums.end(), result.row(y), byte_of_sum);
  }
  return result;
}

}  // namespace dinomaly
