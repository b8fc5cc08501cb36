// Point clouds: read, and prepared so that the object remains, on drawn scenes whose every value is known.
#include "dinomaly/image/point_cloud.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/picture.h"
#include "tests/dinomaly/drawn_scene.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

constexpr Box part{50, 20, 40, 30};
constexpr float part_z = 0.55f;

bool inside(const Box& box, int64_t x, int64_t y) {
  return x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height;
}

Box moved(Box box, int64_t x, int64_t y) { return {box.x + x, box.y + y, box.width, box.height}; }
Box grown(const Box& box, int64_t by) {
  return {box.x - by, box.y - by, box.width + 2 * by, box.height + 2 * by};
}

std::string error_of(const DrawnScene& scene) {
  return input_error([&] { prepare_scene(scene.cloud, scene.rgb, "a.tiff"); });
}

}  // namespace

TEST_CASE("point cloud: of a scene the largest object is left, in a square, its gaps filled") {
  DrawnScene drawn(170, 80);
  drawn.put(part, part_z);
  drawn.put({100, 40, 10, 12}, part_z);                  // a smaller object, 10 mm away
  drawn.put({120, 30, 5, 5}, 0.5f);                      // 25 points are no cluster
  drawn.put({60, 30, 4, 4}, 0.0f);                       // a hole: filled after two passes
  drawn.put({70, 30, 9, 9}, 0.0f);                       // three pixels of a wider one remain on each side
  drawn.put({0, 70, 8, 8}, 0.0f);                        // points that are missing on the table
  drawn.put({20, 20, 5, 5}, table_depth(22) - 0.0035f);  // within 5 mm of the table: a part of it
  drawn.put({20, 40, 3, 3}, table_depth(21) + 0.05f);    // stray points below it
  const auto [rgb, depth] = prepare_scene(drawn.cloud, drawn.rgb, "scene");
  REQUIRE((depth.width == 200 && depth.height == 200));
  REQUIRE((rgb.width == 200 && rgb.height == 200));
  const int64_t left = 15, above = 60;
  const Box object = moved(part, left, above), hole{60 + left, 30 + above, 4, 4};
  const Box wide{70 + left, 30 + above, 9, 9}, unfilled = grown(wide, -3);
  int64_t wrong_depth = 0, wrong_colour = 0;
  for (int64_t y = 0; y < 200; ++y) {
    for (int64_t x = 0; x < 200; ++x) {
      // Each pass also adds a pixel around the object.
      const bool filled = inside(grown(object, 3), x, y) && !inside(unfilled, x, y);
      wrong_depth += std::abs(depth.z[static_cast<size_t>(y * 200 + x)] - (filled ? part_z : 0)) > 1e-6f;
      // Colours stay where the object has no point, and do not come where it grows.
      const bool inner = inside(object, x, y);
      const uint8_t expected = inner ? *drawn.rgb.at(x - left, y - above) : uint8_t{0};
      const bool missing = inside({left, 70 + above, 8, 8}, x, y);
      wrong_colour += !missing && *rgb.at(x, y) != expected;
    }
  }
  CHECK(wrong_depth == 0);
  CHECK(wrong_colour == 0);
  CHECK(inside(object, hole.x, hole.y));
  // The same each time.
  const DepthScene again = prepare_scene(drawn.cloud, drawn.rgb, "scene");
  CHECK(again.depth.z == depth.z);
  CHECK(again.rgb == rgb);
}

TEST_CASE("point cloud: a gap gets the mean of those around it that have a depth") {
  DrawnScene drawn(100, 100);
  drawn.put({30, 30, 40, 40}, 0.55f);
  drawn.put({30, 50, 40, 20}, 0.549f);
  drawn.at(40, 50) = {0, 0, 0};
  drawn.at(41, 50) = {0, 0, 0};
  const DepthMap depth = prepare_scene(drawn.cloud, drawn.rgb, "scene").depth;
  // Beside (40, 50) are three of the upper part, and one and three of the lower; the gap beside it does not count.
  CHECK(depth.z[50 * 100 + 40] == doctest::Approx((3 * 0.55 + 4 * 0.549) / 7).epsilon(1e-7));
}

TEST_CASE("point cloud: the plane is that of most of the border, also where an object is in it") {
  DrawnScene drawn(200, 100);
  const Box across{60, 0, 50, 100};  // a fifth of the border
  drawn.put(across, 0.55f);
  const auto [rgb, depth] = prepare_scene(drawn.cloud, drawn.rgb, "scene");
  for (int64_t y = 50; y < 150; ++y) {
    CHECK(depth.z[static_cast<size_t>(y * 200 + 50)] == 0);
    CHECK(depth.z[static_cast<size_t>(y * 200 + 80)] == 0.55f);
  }
}

TEST_CASE("point cloud: the plane is found where most points of the border are not on it") {
  DrawnScene drawn(100, 100);
  drawn.put({40, 40, 20, 20}, 0.5f);
  Generator generator(7);
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = 0; x < 100; ++x) {
      if (!inside({10, 10, 80, 80}, x, y) && generator.uniform() < 0.6)
        drawn.at(x, y)[2] = static_cast<float>(0.3 + 0.6 * generator.uniform());
    }
  }
  const DepthMap depth = prepare_scene(drawn.cloud, drawn.rgb, "scene").depth;
  CHECK(depth.z[50 * 100 + 50] == 0.5f);
  for (int64_t x = 0; x < 35; ++x) CHECK(depth.z[static_cast<size_t>(50 * 100 + x)] == 0);
}

TEST_CASE("point cloud: what has been prepared loses nothing, though its object is in the border") {
  DrawnScene drawn(100, 100);
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = 0; x < 100; ++x) {
      if (x < 40) continue;
      drawn.at(x, y) = {0, 0, 0};
      std::fill_n(drawn.rgb.at(x, y), 3, uint8_t{0});
    }
  }
  const auto [rgb, depth] = prepare_scene(drawn.cloud, drawn.rgb, "scene");
  CHECK(rgb == drawn.rgb);
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = 0; x < 40; ++x) REQUIRE(depth.z[static_cast<size_t>(y * 100 + x)] == drawn.at(x, y)[2]);
    CHECK(depth.z[static_cast<size_t>(y * 100 + 42)] > 0);
    CHECK(depth.z[static_cast<size_t>(y * 100 + 43)] == 0);
  }
}

TEST_CASE("point cloud: a scene without an object, or without a plane, is one clear line") {
  DrawnScene drawn(100, 100);
  CHECK(one_line_with(error_of(drawn), "a.tiff: there is no object"));
  DrawnScene millimetres(100, 100);
  millimetres.put({30, 30, 40, 40}, 0.55f);
  for (Point3& point : millimetres.cloud.points) {
    for (float& value : point) value *= 1000;
  }
  CHECK(one_line_with(error_of(millimetres), "metres?"));
  DrawnScene empty(100, 100);
  std::fill(empty.cloud.points.begin(), empty.cloud.points.end(), Point3{0, 0, -1});
  CHECK(one_line_with(error_of(empty),
                      "a.tiff: the plane under the object is not to be found: of its border of 10"));
  std::fill(empty.cloud.points.begin(), empty.cloud.points.end(), Point3{1, 1, 1});
  CHECK(one_line_with(error_of(empty), "are no plane"));
  empty.rgb = Image(99, 100, 3);
  CHECK(one_line_with(error_of(empty), "a.tiff: the depth is 100 x 100, its image 99 x 100"));
}

TEST_CASE("point cloud: squares are of multiples of 100, images in their middle") {
  CHECK(square_side(1, 1) == 100);
  CHECK(square_side(400, 900) == 900);
  CHECK(square_side(801, 20) == 900);
  Image odd(99, 97, 1);
  odd.pixels.assign(odd.pixels.size(), 7);
  const Image square = padded_to_square(odd);
  CHECK((square.width == 100 && square.height == 100));
  CHECK(*square.at(0, 0) == 0);
  CHECK(*square.at(0, 1) == 7);
  CHECK(*square.at(98, 97) == 7);
  CHECK(*square.at(99, 97) == 0);
  CHECK(*square.at(98, 98) == 0);
}

TEST_CASE("point cloud: files of three floats a pixel, and those that are damaged") {
  const TemporaryFolder folder;
  DrawnScene drawn(100, 100);
  drawn.put({30, 30, 40, 40}, 0.55f);
  const std::filesystem::path file = folder / "a.tiff";
  drawn.write_cloud(file);
  CHECK(is_point_cloud(file));
  CHECK(load_point_cloud(file).points == drawn.cloud.points);
  save_png(folder / "a.png", drawn.rgb);
  Picture picture(folder / "a.png");
  picture.depth = file;
  const Image both = load_picture(picture);
  const auto [rgb, depth] = prepare_scene(drawn.cloud, drawn.rgb, "a");
  CHECK(both.channels == 6);
  CHECK(*both.at(20, 20) == 0);
  CHECK(*both.at(40, 40) == *rgb.at(40, 40));
  CHECK(both.at(40, 40)[3] == *depth_picture(depth).at(40, 40));

  const auto error = [&] { return input_error([&] { load_point_cloud(file); }); };
  for (const float value : {NAN, INFINITY, -INFINITY, 3001.0f}) {
    drawn.at(7, 3) = {value, 0, 1};
    drawn.write_cloud(file);
    CHECK(one_line_with(error(), "a.tiff: the point at (7, 3) is not finite, or beyond 3000 m"));
  }
  drawn.at(7, 3) = {3000, 0, 1};
  drawn.write_cloud(file);
  CHECK(error().empty());
  prepare_scene(load_point_cloud(file), drawn.rgb, "a");  // such a point is far from all others
  write_file(file, read_file(file, 1 << 20).substr(0, 60000));
  CHECK(one_line_with(error(), "a.tiff"));
  write_tiff(file, {.width = 1, .height = 1, .bits = 64, .samples = 3, .format = SAMPLEFORMAT_IEEEFP},
             {std::string(24, '\0')});
  CHECK(one_line_with(error(), "a.tiff: no point cloud: 3 samples of 64 bits"));
  CHECK(!is_point_cloud(folder / "a.png"));
  CHECK(!is_point_cloud(folder / "gone.tiff"));
}

}  // namespace dinomaly
