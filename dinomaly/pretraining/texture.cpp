#include "dinomaly/pretraining/texture.h"

#include <cmath>
#include <memory>
#include <numbers>

namespace dinomaly {

namespace {

constexpr double full_turn = 2 * std::numbers::pi;

double log_uniform(Generator& generator, double low, double high) {
  return std::exp(uniform(generator, std::log(low), std::log(high)));
}

// A number from 0 to 1 that belongs to a cell of the plane; `salt` tells several of one cell apart.
double of_cell(int64_t x, int64_t y, uint64_t salt) {
  uint64_t h =
      static_cast<uint64_t>(x) * 0x9E3779B97F4A7C15u ^ static_cast<uint64_t>(y) * 0xC2B2AE3D27D4EB4Fu ^ salt;
  h = (h ^ (h >> 31)) * 0xBF58476D1CE4E5B9u;
  h = (h ^ (h >> 29)) * 0x94D049BB133111EBu;
  return static_cast<double>((h ^ (h >> 32)) >> 40) * 0x1p-24;
}

// Where a texture lies: turned, stretched, `frequency` cells across the scene, and warped by noise or not.
class Frame {
 public:
  Frame(Generator& generator, double least, double most)
      : cosine_(0), sine_(0), warp_noise_(std::make_shared<Noise>(generator)) {
    const double angle = uniform(generator, 0, full_turn), frequency = log_uniform(generator, least, most);
    const double stretch = log_uniform(generator, 0.6, 1.7);
    cosine_ = std::cos(angle), sine_ = std::sin(angle);
    along_ = frequency * stretch, across_ = frequency / stretch;
    shift_ = {uniform(generator, 0, 64), uniform(generator, 0, 64)};
    warp_ = generator.uniform() < 0.5 ? 0 : uniform(generator, 0, 0.8);
    warp_frequency_ = uniform(generator, 0.1, 0.5);
  }

  // In cells, of which one is about as large as the texture's parts.
  Point at(Point p) const {
    Point q{(cosine_ * p.x + sine_ * p.y) * along_ + shift_.x,
            (cosine_ * p.y - sine_ * p.x) * across_ + shift_.y};
    if (warp_ == 0) return q;
    const double x = q.x * warp_frequency_, y = q.y * warp_frequency_;
    const double dx = warp_noise_->at(x, y), dy = warp_noise_->at(x + 31.7, y + 11.3);
    return {q.x + warp_ * dx, q.y + warp_ * dy};
  }

 private:
  double cosine_, sine_, along_ = 1, across_ = 1, warp_ = 0, warp_frequency_ = 0;
  Point shift_;
  std::shared_ptr<const Noise> warp_noise_;
};

struct Cell {
  int64_t x, y;
  double u, v;  // the place in it, from -0.5 to 0.5
};

Cell cell_of(Point q) {
  const double x = std::floor(q.x), y = std::floor(q.y);
  return {static_cast<int64_t>(x), static_cast<int64_t>(y), q.x - x - 0.5, q.y - y - 0.5};
}

Field plain(Generator& generator) {
  const double slope = uniform(generator, 0, 0.3), angle = uniform(generator, 0, full_turn);
  const double x = slope * std::cos(angle), y = slope * std::sin(angle);
  return [x, y](Point p) { return 0.5 + x * p.x + y * p.y; };
}

Field fractal(Generator& generator) {
  const Frame frame(generator, 2, 30);
  const auto noise = std::make_shared<const Noise>(generator);
  const int octaves = 1 + static_cast<int>(generator.below(4));
  const double contrast = uniform(generator, 0.5, 1.5);
  return [=](Point p) {
    const Point q = frame.at(p);
    return 0.5 + contrast * noise->fractal(q.x, q.y, octaves);
  };
}

Field grating(Generator& generator) {
  const Frame frame(generator, 4, 40);
  const double softness = log_uniform(generator, 0.05, 1), bias = uniform(generator, -0.6, 0.6);
  const double second = generator.uniform() < 0.3 ? uniform(generator, 0.2, 1) : 0;
  return [=](Point p) {
    const Point q = frame.at(p);
    const double wave = std::sin(full_turn * q.x) + second * std::sin(full_turn * q.y);
    return smoothstep(-softness, softness, wave + bias);
  };
}

Field weave(Generator& generator) {
  const Frame frame(generator, 6, 40);
  const double depth = uniform(generator, 0.2, 0.8), contrast = uniform(generator, 0, 0.6);
  const int64_t repeat = 2 + static_cast<int64_t>(generator.below(3));  // 2: plain weave, more: twill
  const uint64_t salt = generator.next_word();
  return [=](Point p) {
    const Cell c = cell_of(frame.at(p));
    const bool over = ((c.x + c.y) % repeat + repeat) % repeat == 0;
    const double across = over ? c.u : c.v, along = over ? c.v : c.u;
    const double round = std::cos(std::numbers::pi * across) * (1 - depth * 4 * along * along);
    return std::clamp(round, 0.0, 1.0) * (1 - contrast * of_cell(over ? c.x : c.y, over, salt));
  };
}

// `shift`: of each second row, in tiles.
Field tiles_of(Generator& generator, double shift) {
  const Frame frame(generator, 3, 20);
  const double joint = uniform(generator, 0.02, 0.15), soft = uniform(generator, 0.01, 0.2);
  const double variety = generator.uniform() < 0.4 ? 0 : uniform(generator, 0, 0.8);
  const double aspect = shift > 0 ? uniform(generator, 1.2, 3) : 1;
  const uint64_t salt = generator.next_word();
  return [=](Point p) {
    Point q = frame.at(p);
    q.x = q.x / aspect + shift * std::floor(q.y);
    const Cell c = cell_of(q);
    const double edge = std::min((0.5 - std::abs(c.u)) * aspect, 0.5 - std::abs(c.v));
    return smoothstep(joint, joint + soft, edge) * (1 - variety * of_cell(c.x, c.y, salt));
  };
}

Field tiles(Generator& generator) { return tiles_of(generator, 0); }
Field bricks(Generator& generator) { return tiles_of(generator, uniform(generator, 0.2, 0.5)); }

Field cells(Generator& generator) {
  const Frame frame(generator, 4, 30);
  const double regularity = uniform(generator, 0, 0.8), walls = generator.uniform();
  const double variety = uniform(generator, 0, 0.6);
  const uint64_t salt = generator.next_word();
  return [=](Point p) {
    const Cell c = cell_of(frame.at(p));
    double first = 9, second = 9, own = 0;
    for (int64_t y = c.y - 1; y <= c.y + 1; ++y) {
      for (int64_t x = c.x - 1; x <= c.x + 1; ++x) {
        const double free = 1 - regularity;
        const double dx = static_cast<double>(x - c.x) + free * (of_cell(x, y, salt) - 0.5) - c.u;
        const double dy = static_cast<double>(y - c.y) + free * (of_cell(x, y, salt + 1) - 0.5) - c.v;
        const double d = dx * dx + dy * dy;
        if (d < first)
          second = first, first = d, own = of_cell(x, y, salt + 2);
        else if (d < second)
          second = d;
      }
    }
    const double near = std::sqrt(first), wall = std::sqrt(second) - near;
    return (walls * smoothstep(0, 0.3, wall) + (1 - walls) * (1 - near)) * (1 - variety * own);
  };
}

Field rings(Generator& generator) {
  const auto noise = std::make_shared<const Noise>(generator);
  const double frequency = log_uniform(generator, 6, 40), roughness = uniform(generator, 0.2, 3);
  const double stretch = uniform(generator, 0.1, 1), angle = uniform(generator, 0, full_turn);
  const Point centre{uniform(generator, -1, 1), uniform(generator, -1, 1)};
  const double asymmetry = uniform(generator, 0.3, 0.95);
  return [=](Point p) {
    const Point q = Pose{centre.x, centre.y, angle}.to_part(p);
    const double r = std::sqrt(q.x * q.x + stretch * q.y * q.y) * frequency;
    const double phase = r + roughness * noise->fractal(6 * q.x, 3 * q.y, 2), t = phase - std::floor(phase);
    return t < asymmetry ? t / asymmetry : (1 - t) / (1 - asymmetry);
  };
}

Field dots(Generator& generator) {
  const Frame frame(generator, 4, 30);
  const double radius = uniform(generator, 0.12, 0.42), soft = uniform(generator, 0.03, 0.25);
  const double shift = generator.uniform() < 0.5 ? 0 : 0.5, jitter = uniform(generator, 0, 0.15);
  const double missing = generator.uniform() < 0.7 ? 0 : uniform(generator, 0, 0.3);
  const uint64_t salt = generator.next_word();
  return [=](Point p) {
    Point q = frame.at(p);
    q.x += shift * std::floor(q.y);
    const Cell c = cell_of(q);
    if (of_cell(c.x, c.y, salt + 2) < missing) return 0.0;
    const double x = c.u - jitter * (of_cell(c.x, c.y, salt) - 0.5);
    const double y = c.v - jitter * (of_cell(c.x, c.y, salt + 1) - 0.5);
    return 1 - smoothstep(radius - soft, radius + soft, std::sqrt(x * x + y * y));
  };
}

Field brushed(Generator& generator) {
  const Frame frame(generator, 8, 60);
  const auto noise = std::make_shared<const Noise>(generator);
  const double length = log_uniform(generator, 8, 60), scratches = uniform(generator, 0, 0.8);
  const double rarity = uniform(generator, 0.5, 0.9);
  return [=](Point p) {
    const Point q = frame.at(p);
    const double grain = noise->fractal(q.x, q.y / length, 3);
    const double scratch = smoothstep(rarity, 1, noise->at(2.7 * q.x + 9.1, q.y / (0.3 * length)));
    return 0.5 + 0.5 * grain + scratches * scratch;
  };
}

Field veins(Generator& generator) {
  const Frame frame(generator, 1.5, 12);
  const auto noise = std::make_shared<const Noise>(generator);
  const double sharpness = uniform(generator, 2, 12);
  const int octaves = 1 + static_cast<int>(generator.below(4));
  return [=](Point p) {
    const Point q = frame.at(p);
    return 1 - std::min(1.0, sharpness * std::abs(noise->fractal(q.x, q.y, octaves)));
  };
}

Field granite(Generator& generator) {
  const Frame frame(generator, 10, 60);
  const auto noise = std::make_shared<const Noise>(generator);
  const double coarse = uniform(generator, -0.2, 0.7), fine = uniform(generator, -0.2, 0.7);
  const double share = uniform(generator, 0.2, 0.8), soft = log_uniform(generator, 0.03, 0.4);
  return [=](Point p) {
    const Point q = frame.at(p);
    const double large = smoothstep(coarse - soft, coarse + soft, noise->at(q.x, q.y));
    const double small = smoothstep(fine - soft, fine + soft, noise->at(2.3 * q.x + 7, 2.3 * q.y + 3));
    return share * large + (1 - share) * small;
  };
}

Field fibres(Generator& generator) {
  const Frame frame(generator, 4, 20);
  const double width = uniform(generator, 0.02, 0.1), half_length = uniform(generator, 0.3, 0.6);
  const double order = generator.uniform(), main = uniform(generator, 0, full_turn);
  const uint64_t salt = generator.next_word();
  return [=](Point p) {
    const Cell c = cell_of(frame.at(p));
    double nearest = 9;
    for (int64_t y = c.y - 1; y <= c.y + 1; ++y) {
      for (int64_t x = c.x - 1; x <= c.x + 1; ++x) {
        const double angle = main + (1 - order) * full_turn * of_cell(x, y, salt + 2);
        const double px = c.u - static_cast<double>(x - c.x) - of_cell(x, y, salt) + 0.5;
        const double py = c.v - static_cast<double>(y - c.y) - of_cell(x, y, salt + 1) + 0.5;
        const double along = px * std::cos(angle) + py * std::sin(angle),
                     across = py * std::cos(angle) - px * std::sin(angle);
        const double beyond = std::max(std::abs(along) - half_length, 0.0);
        nearest = std::min(nearest, beyond * beyond + across * across);
      }
    }
    return 1 - smoothstep(0.5 * width, 1.5 * width, std::sqrt(nearest));
  };
}

Field spokes(Generator& generator) {
  const Point centre{uniform(generator, -0.3, 0.3), uniform(generator, -0.3, 0.3)};
  const double circles = log_uniform(generator, 2, 25), rays = std::floor(uniform(generator, 0, 24));
  const double share = rays == 0 ? 0 : generator.uniform(), softness = log_uniform(generator, 0.1, 1);
  const double phase = generator.uniform();
  return [=](Point p) {
    const double x = p.x - centre.x, y = p.y - centre.y;
    const double circle = std::sin(full_turn * (circles * std::sqrt(x * x + y * y) + phase));
    const double ray = std::sin(rays * std::atan2(y, x));
    return smoothstep(-softness, softness, (1 - share) * circle + share * ray);
  };
}

}  // namespace

Field draw_field(TextureFamily family, Generator& generator) {
  using Draw = Field (*)(Generator&);
  constexpr std::array<Draw, static_cast<size_t>(TextureFamily::count)> draws{
      plain, fractal, grating, weave, tiles,   bricks, cells,
      rings, dots,    brushed, veins, granite, fibres, spokes};
  const Field field = draws.at(static_cast<size_t>(family))(generator);
  return [field](Point p) { return std::clamp(field(p), 0.0, 1.0); };
}

Palette::Palette(Generator& generator) {
  const auto colour = [&] { return Colour{generator.uniform(), generator.uniform(), generator.uniform()}; };
  const double grey = uniform(generator, 0.05, 0.95), saturation = generator.uniform();
  const Colour base = mix({grey, grey, grey}, colour(), saturation * saturation);
  const double spread = uniform(generator, 0.05, 1), tint = generator.uniform();
  for (Colour& stop : stops_) {
    const double other_grey = generator.uniform();
    const Colour other = mix({other_grey, other_grey, other_grey}, colour(), tint * tint);
    stop = mix(base, other, spread);
  }
}

Colour Palette::at(double value) const {
  const double place = std::clamp(value, 0.0, 1.0) * static_cast<double>(stops_.size() - 1);
  const auto below = std::min(static_cast<size_t>(place), stops_.size() - 2);
  return mix(stops_[below], stops_[below + 1], place - static_cast<double>(below));
}

}  // namespace dinomaly
