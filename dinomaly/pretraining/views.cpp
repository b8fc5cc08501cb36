#include "dinomaly/pretraining/views.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr double least_scale = 0.5, most_scale = 1.5;

View view_around(Point centre, double scale, int64_t crop, Generator& generator) {
  const double angle = uniform(generator, -1, 1) * 25 * std::numbers::pi / 180;
  const double mirror = generator.uniform() < 0.25 ? -1 : 1,
               upside_down = generator.uniform() < 0.25 ? -1 : 1;
  const double cosine = scale * std::cos(angle), sine = scale * std::sin(angle);
  View view{mirror * cosine, -upside_down * sine, mirror * sine, upside_down * cosine, 0, 0};
  const double half = 0.5 * static_cast<double>(crop);
  const Point middle = view.to_scene({half, half});
  view.x = centre.x - middle.x;
  view.y = centre.y - middle.y;
  return view;
}

}  // namespace

Point View::to_crop(Point scene) const {
  const double determinant = xx * yy - xy * yx, dx = scene.x - x, dy = scene.y - y;
  return {(yy * dx - xy * dy) / determinant, (xx * dy - yx * dx) / determinant};
}

std::pair<View, View> draw_views(int64_t size, int64_t crop, Generator& generator) {
  const auto width = static_cast<double>(crop), whole = static_cast<double>(size);
  const auto reach = [&](double scale) { return scale * width * 0.5 * std::numbers::sqrt2; };
  check(2 * reach(most_scale) <= whole, "draw_views: crops of {} pixels do not fit into scenes of {}", crop,
        size);
  const auto drawn_scale = [&](double low, double high) {
    return std::exp(uniform(generator, std::log(low), std::log(high)));
  };
  const double first = drawn_scale(least_scale, most_scale);
  const double second = drawn_scale(std::max(least_scale, first / 1.5), std::min(most_scale, first * 1.5));
  const double most_shift = 0.35 * width * std::min(first, second);
  const auto near = [&](double at, double shift, double scale) {
    return std::clamp(at + uniform(generator, -shift, shift), reach(scale), whole - reach(scale));
  };
  const Point a{near(0.5 * whole, 0.5 * whole, first), near(0.5 * whole, 0.5 * whole, first)};
  const Point b{near(a.x, most_shift, second), near(a.y, most_shift, second)};
  const View view_a = view_around(a, first, crop, generator);
  return {view_a, view_around(b, second, crop, generator)};
}

Tensor sample(const RenderedScene& scene, const View& view, int64_t crop) {
  const Image& rgb = scene.rgb;
  Tensor result = Tensor::empty({3, crop, crop});
  float* out = result.data<float>();
  const auto most_x = static_cast<float>(rgb.width - 1), most_y = static_cast<float>(rgb.height - 1);
  for (int64_t y = 0; y < crop; ++y) {
    for (int64_t x = 0; x < crop; ++x) {
      const Point p = view.to_scene({static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5});
      const float px = std::clamp(static_cast<float>(p.x) - 0.5F, 0.0F, most_x),
                  py = std::clamp(static_cast<float>(p.y) - 0.5F, 0.0F, most_y);
      const auto x0 = static_cast<int64_t>(px), y0 = static_cast<int64_t>(py);
      const int64_t x1 = std::min(x0 + 1, rgb.width - 1), y1 = std::min(y0 + 1, rgb.height - 1);
      const float fx = px - static_cast<float>(x0), fy = py - static_cast<float>(y0);
      const uint8_t *a = rgb.at(x0, y0), *b = rgb.at(x1, y0), *c = rgb.at(x0, y1), *d = rgb.at(x1, y1);
      for (int64_t channel = 0; channel < 3; ++channel) {
        const auto value = [channel](const uint8_t* pixel) { return static_cast<float>(pixel[channel]); };
        const float top = value(a) + fx * (value(b) - value(a)),
                    bottom = value(c) + fx * (value(d) - value(c));
        out[(channel * crop + y) * crop + x] = (top + fy * (bottom - top)) / 255;
      }
    }
  }
  return result;
}

std::vector<int64_t> matching_patches(const View& from, const View& to, int64_t crop, int64_t patch) {
  const int64_t side = crop / patch;
  std::vector<int64_t> matches;
  for (int64_t i = 0; i < side * side; ++i) {
    const auto centre = [&](int64_t index) {
      return (static_cast<double>(index) + 0.5) * static_cast<double>(patch);
    };
    const Point p = to.to_crop(from.to_scene({centre(i % side), centre(i / side)}));
    const auto column = static_cast<int64_t>(std::floor(p.x / static_cast<double>(patch)));
    const auto row = static_cast<int64_t>(std::floor(p.y / static_cast<double>(patch)));
    const bool shown = column >= 0 && column < side && row >= 0 && row < side;
    matches.push_back(shown ? row * side + column : no_match);
  }
  return matches;
}

}  // namespace dinomaly
