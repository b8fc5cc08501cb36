#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/resize.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

struct FloatTaps {
  std::vector<int64_t> first, count;
  std::vector<float> weights;  // `stride` per output
  int64_t stride = 0;

  const float* of(int64_t i) const { return weights.data() + i * stride; }
};

// The taps of outputs [begin, begin + count) when `in` samples become `out`: a triangle as wide as the scale.
FloatTaps make_float_taps(int64_t in, int64_t out, int64_t begin, int64_t count) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  const float support = std::max(scale, 1.0f);
  FloatTaps taps;
  taps.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.resize(static_cast<size_t>(count * taps.stride));
  for (int64_t i = 0; i < count; ++i) {
    const float centre = scale * (static_cast<float>(begin + i) + 0.5f);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5f), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5f), in);
    const int64_t number = std::min(end - first, taps.stride);
    float* weights = taps.weights.data() + i * taps.stride;
    float sum = 0;
    for (int64_t j = 0; j < number; ++j) {
      const float distance = (static_cast<float>(j + first) - centre + 0.5f) / support;
      weights[j] = std::max(0.0f, 1.0f - std::abs(distance));
      sum += weights[j];
    }
    if (sum != 0) std::for_each_n(weights, number, [sum](float& weight) { weight /= sum; });
    taps.first.push_back(first);
    taps.count.push_back(number);
  }
  return taps;
}

std::array<float, 256> unit_values() {
  std::array<float, 256> values;
  for (int i = 0; i < 256; ++i) values[i] = static_cast<float>(i) / 255.0f;
  return values;
}

template <int channels>
void blend_row(const uint8_t* in, const std::array<float, 256>& unit, const FloatTaps& taps, int64_t width,
               float* out) {
  for (int64_t x = 0; x < width; ++x, out += channels) {
    std::fill_n(out, channels, 0.0f);
    const uint8_t* from = in + taps.first[x] * channels;
    const float* weights = taps.of(x);
    for (int64_t j = 0; j < taps.count[x]; ++j, from += channels) {
      for (int c = 0; c < channels; ++c) out[c] += unit[from[c]] * weights[j];
    }
  }
}

// blend_row() for each number of channels.
template <int... zero_based>
constexpr auto blenders_of(std::integer_sequence<int, zero_based...>) {
  return std::array{&blend_row<zero_based + 1>...};
}
constexpr auto blenders = blenders_of(std::make_integer_sequence<int, most_channels>());

}  // namespace

std::vector<float> resize_torch(const Image& image, const ResizeWindow& window) {
  check(image.channels >= 1 && image.channels <= most_channels, "resize_torch: {} channels", image.channels);
  const FloatTaps across = make_float_taps(image.width, window.resize_w, window.left, window.crop_w);
  const FloatTaps down = make_float_taps(image.height, window.resize_h, window.top, window.crop_h);
  const std::array<float, 256> unit = unit_values();

  const int64_t first = down.first.front(), end = down.first.back() + down.count.back();
  const int64_t row_size = window.crop_w * image.channels;
  std::vector<float> narrow(static_cast<size_t>((end - first) * row_size));
  const auto resize = blenders[static_cast<size_t>(image.channels - 1)];
  for (int64_t y = first; y < end; ++y) {
    resize(image.row(y), unit, across, window.crop_w, narrow.data() + (y - first) * row_size);
  }

  std::vector<float> result(static_cast<size_t>(window.crop_h * row_size), 0.0f);
  for (int64_t y = 0; y < window.crop_h; ++y) {
    float* out = result.data() + y * row_size;
    for (int64_t j = 0; j < down.count[y]; ++j) {
      const float* from = narrow.data() + (down.first[y] - first + j) * row_size;
      const float weight = down.of(y)[j];
      for (int64_t i = 0; i < row_size; ++i) out[i] += from[i] * weight;
    }
  }
  return result;
}

}  // namespace dinomaly
