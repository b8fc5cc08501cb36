#include "dinomaly/pretraining/scene.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dinomaly/base/parallel.h"
#include "dinomaly/pretraining/shape.h"
#include "dinomaly/pretraining/texture.h"

namespace dinomaly {

namespace {

struct Material {
  TextureFamily family;
  Field field;
  Palette palette;
  double relief, gloss;
};

Material draw_material(Generator& generator) {
  const auto family =
      static_cast<TextureFamily>(generator.below(static_cast<uint64_t>(TextureFamily::count)));
  Field field = draw_field(family, generator);
  const Palette palette(generator);
  const double relief = generator.uniform() < 0.4 ? 0 : uniform(generator, -0.02, 0.02);
  const double gloss = generator.uniform();
  return {family, std::move(field), palette, relief, gloss * gloss};
}

// What of a scene is known before light falls on it.
struct Surface {
  explicit Surface(int64_t size)
      : size(size),
        colour(size * size),
        height(size * size),
        gloss(size * size),
        light(size * size, 1.0F),
        families(size * size) {}

  Point point(int64_t x, int64_t y) const {
    const double pitch = 1.0 / static_cast<double>(size);
    return {(static_cast<double>(x) + 0.5) * pitch - 0.5, (static_cast<double>(y) + 0.5) * pitch - 0.5};
  }
  // Covers `share` of the pixel with the material, `bevel` above the ground.
  void cover(int64_t i, const Material& material, Point at, double share, double bevel) {
    const double value = material.field(at);
    colour[i] = mix(colour[i], material.palette.at(value), share);
    const double top = bevel + material.relief * value;
    height[i] += static_cast<float>(share * (top - height[i]));
    gloss[i] += static_cast<float>(share * (material.gloss - gloss[i]));
    if (share > 0.5) families[i] = static_cast<uint8_t>(material.family);
  }

  int64_t size;
  std::vector<Colour> colour;
  std::vector<float> height;  // of the scene's width
  std::vector<float> gloss, light;
  std::vector<uint8_t> families;
};

void paint_ground(Surface& surface, Generator& generator) {
  const Material ground = draw_material(generator);
  for (int64_t i = 0; i < surface.size * surface.size; ++i)
    surface.cover(i, ground, surface.point(i % surface.size, i / surface.size), 1, 0);
}

// Where a second material covers the ground: a half plane, or islands of noise; the border sharp or gradual.
void paint_region(Surface& surface, Generator& generator) {
  const Material other = draw_material(generator);
  const Noise noise(generator);
  const double angle = uniform(generator, 0, 2 * std::numbers::pi), offset = uniform(generator, -0.3, 0.3);
  const double roughness = generator.uniform() < 0.5 ? 0 : uniform(generator, 0.1, 1),
               frequency = uniform(generator, 2, 8);
  const double soft = generator.uniform() < 0.6 ? 0.003 : uniform(generator, 0.01, 0.2);
  const double most = generator.uniform() < 0.7 ? 1 : uniform(generator, 0.3, 1);
  for (int64_t i = 0; i < surface.size * surface.size; ++i) {
    const Point p = surface.point(i % surface.size, i / surface.size);
    const double side = p.x * std::cos(angle) + p.y * std::sin(angle) + offset;
    const double share =
        most *
        smoothstep(
            -soft, soft,
            side + roughness * (roughness > 0 ? noise.fractal(frequency * p.x, frequency * p.y, 3) : 0));
    if (share > 0) surface.cover(i, other, p, share, 0);
  }
}

struct Part {
  Outline outline;
  Material material;
  double edge_width, rise;  // of the slope from the outline inwards
  double shadow, shadow_width;
  Point shadow_shift;
  bool texture_turns;  // with the part, instead of lying still behind its outline
};

Part draw_part(double radius, Generator& generator) {
  const double edge = radius * uniform(generator, 0.05, 1), rise = edge * uniform(generator, -0.3, 1.2);
  const double shadow = generator.uniform() < 0.4 ? 0 : uniform(generator, 0.1, 0.7),
               angle = uniform(generator, 0, 2 * std::numbers::pi);
  const double shift = radius * uniform(generator, 0, 0.3);
  Outline outline = draw_outline(radius, generator);
  return {std::move(outline),
          draw_material(generator),
          edge,
          rise,
          shadow,
          radius * uniform(generator, 0.02, 0.4),
          {shift * std::cos(angle), shift * std::sin(angle)},
          generator.uniform() < 0.8};
}

// Calls visit(i, point) for the pixels within `reach` of the pose.
template <class Visit>
void near_pose(const Surface& surface, const Pose& pose, double reach, const Visit& visit) {
  const auto size = static_cast<double>(surface.size);
  const auto pixel = [&](double at) {
    return std::clamp<int64_t>(static_cast<int64_t>(std::floor((at + 0.5) * size)), 0, surface.size);
  };
  for (int64_t y = pixel(pose.y - reach); y < pixel(pose.y + reach); ++y) {
    for (int64_t x = pixel(pose.x - reach); x < pixel(pose.x + reach); ++x)
      visit(y * surface.size + x, surface.point(x, y));
  }
}

void paint_part(Surface& surface, const Part& part, const Pose& pose) {
  const auto size = static_cast<double>(surface.size);
  if (part.shadow > 0) {
    near_pose(surface, pose,
              part.outline.reach + part.shadow_width + std::abs(part.shadow_shift.x) +
                  std::abs(part.shadow_shift.y),
              [&](int64_t i, Point p) {
                const double d = part.outline.distance(
                    pose.to_part({p.x - part.shadow_shift.x, p.y - part.shadow_shift.y}));
                surface.light[i] *= static_cast<float>(
                    1 - part.shadow * (1 - smoothstep(-part.shadow_width, part.shadow_width, d)));
              });
  }
  near_pose(surface, pose, part.outline.reach, [&](int64_t i, Point p) {
    const Point own = pose.to_part(p);
    const double d = part.outline.distance(own), share = std::clamp(0.5 - d * size, 0.0, 1.0);
    if (share == 0) return;
    const double t = std::clamp(1 + d / part.edge_width, 0.0, 1.0);  // 1 at the outline, 0 where it is flat
    surface.cover(i, part.material, part.texture_turns ? own : p, share, part.rise * (std::sqrt(1 - t * t)));
    surface.light[i] += static_cast<float>(share * (1 - surface.light[i]));  // it lies above the shadow
  });
}

void paint_parts(Surface& surface, Generator& generator) {
  const uint64_t groups = generator.below(5);
  for (uint64_t group = 0; group < groups; ++group) {
    const double radius = std::exp(uniform(generator, std::log(0.03), std::log(0.4)));
    const Part part = draw_part(radius, generator);
    for (const Pose& pose : draw_poses(radius, generator)) paint_part(surface, part, pose);
  }
}

// Lambert's law and a highlight, with normals from the heights, under one distant lamp.
std::vector<Colour> lit(const Surface& surface, Generator& generator) {
  const int64_t size = surface.size;
  const double azimuth = uniform(generator, 0, 2 * std::numbers::pi),
               elevation = uniform(generator, 0.5, 1.4);
  const double lx = std::cos(azimuth) * std::cos(elevation), ly = std::sin(azimuth) * std::cos(elevation),
               lz = std::sin(elevation);
  const double hz = lz + 1, half = std::sqrt(lx * lx + ly * ly + hz * hz);  // halfway to the eye, above
  const double ambient = uniform(generator, 0.1, 0.6), strength = generator.uniform(),
               shininess = std::exp(uniform(generator, 1.5, 4.5));
  const double fall_x = uniform(generator, -0.3, 0.3), fall_y = uniform(generator, -0.3, 0.3);
  std::vector<Colour> seen(surface.colour.size());
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const int64_t i = y * size + x;
      const float *row = surface.height.data() + y * size,
                  *above = surface.height.data() + std::max<int64_t>(y - 1, 0) * size,
                  *below = surface.height.data() + std::min<int64_t>(y + 1, size - 1) * size;
      const double nx = 0.5 * static_cast<double>(size) *
                        (row[std::max<int64_t>(x - 1, 0)] - row[std::min<int64_t>(x + 1, size - 1)]);
      const double ny = 0.5 * static_cast<double>(size) * (above[x] - below[x]),
                   norm = std::sqrt(nx * nx + ny * ny + 1);
      const double lambert = std::max(0.0, (nx * lx + ny * ly + lz) / (norm * lz));
      const double glint = std::max(0.0, (nx * lx + ny * ly + hz) / (norm * half));
      const Point p = surface.point(x, y);
      const double light =
          surface.light[i] * (ambient + (1 - ambient) * lambert) * (1 + fall_x * p.x + fall_y * p.y);
      const double shine =
          surface.gloss[i] > 0.05F ? strength * surface.gloss[i] * std::pow(glint, shininess) : 0;
      seen[i] = surface.colour[i] * light + shine;
    }
  }
  return seen;
}

struct Render {
  std::vector<Colour> colours;
  std::vector<uint8_t> families;
};

Render render(int64_t size, Generator& generator) {
  Surface surface(size);
  paint_ground(surface, generator);
  if (generator.uniform() < 0.35) paint_region(surface, generator);
  paint_parts(surface, generator);
  return {lit(surface, generator), std::move(surface.families)};
}

}  // namespace

RenderedScene draw_scene(int64_t size, uint64_t seed) {
  Generator generator(seed);
  Render scene = render(size, generator);
  if (generator.uniform() < 0.15) {  // seen through another one
    const Render other = render(size, generator);
    const double share = uniform(generator, 0.2, 0.6);
    for (size_t i = 0; i < scene.colours.size(); ++i)
      scene.colours[i] = mix(scene.colours[i], other.colours[i], share);
  }
  RenderedScene result{Image(size, size, 3), std::move(scene.families)};
  for (size_t i = 0; i < scene.colours.size(); ++i) {
    result.rgb.pixels[3 * i] = to_byte(255 * scene.colours[i].r);
    result.rgb.pixels[3 * i + 1] = to_byte(255 * scene.colours[i].g);
    result.rgb.pixels[3 * i + 2] = to_byte(255 * scene.colours[i].b);
  }
  return result;
}

void ScenePool::advance_to(int64_t newest) {
  std::vector<int64_t> wanted;
  for (int64_t number = std::max<int64_t>(0, newest - count() + 1); number <= newest; ++number) {
    if (numbers_[static_cast<size_t>(number % count())] != number) wanted.push_back(number);
  }
  for_each_in_parallel(wanted.size(), [&](size_t i) {
    const Philox4 block = philox(seed_, static_cast<uint64_t>(wanted[i]));
    const auto place = static_cast<size_t>(wanted[i] % count());
    scenes_[place] = draw_scene(size_, uint64_t{block.word[0]} << 32 | block.word[1]);
    numbers_[place] = wanted[i];
  });
}

}  // namespace dinomaly
