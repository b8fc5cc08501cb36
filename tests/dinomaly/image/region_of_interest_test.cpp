// What of an image counts: the same pixels, however they were said, and nothing that is no region.
#include "dinomaly/image/region_of_interest.h"

#include <doctest/doctest.h>

#include <random>

#include "dinomaly/base/files.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/inspection.h"
#include "dinomaly/image/regions.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

Image mask_of(const std::vector<Box>& boxes, int64_t width, int64_t height) {
  Image mask(width, height, 1);
  for (const Box& box : boxes) {
    for (int64_t y = box.y; y < box.y + box.height; ++y)
      std::fill_n(mask.at(box.x, y), box.width, uint8_t{255});
  }
  return mask;
}

std::string flag_of(const std::vector<Box>& boxes) {
  std::string text;
  for (const Box& box : boxes)
    text += fmt::format("{}{},{},{},{}", text.empty() ? "" : "+", box.x, box.y, box.width, box.height);
  return text;
}

std::vector<Box> random_boxes(std::mt19937& random, size_t count, int64_t width, int64_t height) {
  const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); };
  std::vector<Box> boxes;
  for (size_t i = 0; i < count; ++i) {
    const int64_t x = below(width), y = below(height);
    boxes.push_back({x, y, 1 + below(width - x), 1 + below(height - y)});
  }
  return boxes;
}

}  // namespace

TEST_CASE("region of interest: equal pixels are equal boxes, of rectangles and of a mask") {
  std::mt19937 random(7);
  for (int run = 0; run < 60; ++run) {
    const int64_t width = 23, height = 17;
    const std::vector<Box> given = random_boxes(random, 1 + random() % 5, width, height);
    const Image mask = mask_of(given, width, height);
    const RegionOfInterest by_flag = RegionOfInterest::parse(flag_of(given)),
                           by_mask = RegionOfInterest::of_mask(mask);
    CHECK(by_flag.boxes() == by_mask.boxes());
    CHECK(by_flag.of_size(width, height) == by_mask);
    CHECK(RegionOfInterest::of_boxes(by_mask.boxes(), width, height) == by_mask);
    const Box all{0, 0, width, height}, part{3, 2, 15, 9};
    const std::vector<uint8_t> inside = by_flag.inside(all), some = by_flag.inside(part);
    int64_t pixels = 0;
    for (size_t i = 0; i < inside.size(); ++i) {
      CHECK((inside[i] != 0) == (mask.pixels[i] != 0));
      pixels += inside[i];
    }
    CHECK(by_flag.pixels() == pixels);
    for (int64_t y = 0; y < part.height; ++y) {
      for (int64_t x = 0; x < part.width; ++x)
        CHECK((some[static_cast<size_t>(y * part.width + x)] != 0) ==
              (*mask.at(x + part.x, y + part.y) != 0));
    }
  }
  CHECK(RegionOfInterest::parse("0,0,4,4+4,0,4,4").boxes() == std::vector<Box>{{0, 0, 8, 4}});
  CHECK(RegionOfInterest::parse("1,2,3,4").flag() == "--roi 1,2,3,4");
  CHECK(RegionOfInterest::parse("1,2,3,4").text() == "3 x 4 pixels at (1, 2)");
  CHECK(RegionOfInterest::parse("0,0,2,2+4,4,2,2").text() == "8 pixels within 6 x 6 pixels at (0, 0)");
  CHECK_FALSE(RegionOfInterest::parse("none").on());
}

TEST_CASE("region of interest: a map's pixel counts by its centre, and a speck by what it touches") {
  std::mt19937 random(8);
  for (int run = 0; run < 40; ++run) {
    const int64_t width = 40, height = 30, rows = 7, columns = 9;
    const std::vector<Box> given = random_boxes(random, 2, width, height);
    const Image mask = mask_of(given, width, height);
    const MapPlace place{2.5, 1.25, 33.3, 26.4};
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < rows * columns; ++i) {
      const double x = place.x + (static_cast<double>(i % columns) + 0.5) * place.width / columns,
                   y = place.y + (static_cast<double>(i / columns) + 0.5) * place.height / rows;
      if (*mask.at(static_cast<int64_t>(x), static_cast<int64_t>(y)) != 0) expected.push_back(i);
    }
    if (!expected.empty()) CHECK(RegionOfInterest::of_mask(mask).on_map(place, rows, columns) == expected);
  }
  const MapPlace all{0, 0, 100, 100};
  CHECK(RegionOfInterest::parse("11,31,2,2").on_map(all, 10, 10) == std::vector<int64_t>{31});
  CHECK(RegionOfInterest::parse("19,31,2,2").on_map(all, 10, 10) == std::vector<int64_t>{31, 32});
  CHECK(RegionOfInterest::parse("60,60,9,9").on_map({0, 0, 50, 50}, 10, 10).empty());
  CHECK(RegionOfInterest::parse("0,0,100,100").on_map(all, 10, 10).size() == 100);
}

TEST_CASE("region of interest: what is no rectangle, no mask or no part of an image is one line") {
  const TemporaryFolder folder;
  const auto refused = [](const std::string& text, const std::string& expected) {
    const std::string why = input_error([&] { RegionOfInterest::parse(text); });
    CHECK_MESSAGE(one_line_with(why, expected), text << ": " << why);
    CHECK_MESSAGE(why.starts_with("--roi: "), why);
  };
  refused("", "neither");
  refused("1,2,3", "'1,2,3' is not X,Y,WIDTH,HEIGHT");
  refused("1,2,3,4,5", "X,Y,WIDTH,HEIGHT");
  refused("1,2,3,4+", "X,Y,WIDTH,HEIGHT");
  refused("-1,0,5,5", "'-1' in -1,0,5,5 is not a number of pixels");
  refused("0,0,5.5,5", "'5.5'");
  refused("0,0,,5", "''");
  refused("0,0,99999999999999999999,5", "'99999999999999999999'");
  refused("0,0,1048577,5", "from 0 to 1048576");
  refused("0,0,5,0", "has no pixel");
  std::string many = "0,0,1,1";
  for (int i = 0; i < 1000; ++i) many += "+0,0,1,1";
  refused(many, "1001 rectangles");
  refused((folder / "absent.png").string(), "absent.png");
  refused(folder.path().string(), folder.path().string());
  write_file(folder / "text.png", "no image");
  refused((folder / "text.png").string(), "text.png");
  save_png(folder / "black.png", Image(8, 6, 1));
  refused((folder / "black.png").string(), "marks no pixel");
  Image ragged(700, 700, 1);
  for (size_t i = 0; i < ragged.pixels.size(); ++i) ragged.pixels[i] = (i + i / 700) % 2 == 0 ? 255 : 0;
  save_png(folder / "ragged.png", ragged);
  refused((folder / "ragged.png").string(), "smoother");

  const RegionOfInterest rectangle = RegionOfInterest::parse("4,5,10,10");
  CHECK(rectangle.misfit(14, 15).empty());
  CHECK(one_line_with(rectangle.misfit(13, 15), "not inside of its 13 x 15 pixels"));
  CHECK(one_line_with(rectangle.misfit(14, 14), "10 x 10 pixels at (4, 5)"));
  const RegionOfInterest sized = rectangle.of_size(20, 20);
  CHECK(sized.misfit(20, 20).empty());
  CHECK(one_line_with(sized.misfit(40, 40), "is of images of 20 x 20"));
  CHECK(RegionOfInterest().misfit(1, 1).empty());
}

TEST_CASE("region of interest: masks of every encoding, turned as people see them") {
  const TemporaryFolder folder;
  Image mask(12, 8, 1);
  *mask.at(3, 2) = 1;  // however faint
  *mask.at(4, 2) = 255;
  save_png(folder / "mask.png", mask);
  const RegionOfInterest region = RegionOfInterest::parse((folder / "mask.png").string());
  CHECK(region.boxes() == std::vector<Box>{{3, 2, 2, 1}});
  CHECK((region.width() == 12 && region.height() == 8));
  write_file(folder / "turned.png", png_with_exif(encode_png(mask), 6));  // to the right
  const RegionOfInterest turned = RegionOfInterest::parse((folder / "turned.png").string());
  CHECK((turned.width() == 8 && turned.height() == 12));
  CHECK(turned.boxes() == std::vector<Box>{{5, 3, 1, 2}});
  std::string array("\x93NUMPY\x01\x00", 8);
  std::string header = "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }";
  header.resize(117, ' ');
  array += std::string("\x76\x00", 2) + header + "\n" + std::string("\0\1\0\0\0\0", 6);
  write_file(folder / "mask.npy", array);
  CHECK(RegionOfInterest::parse((folder / "mask.npy").string()).boxes() == std::vector<Box>{{1, 0, 1, 1}});
}

TEST_CASE("region of interest: boxes that are no region are none") {
  const auto holds = [](std::vector<Box> boxes, int64_t width = 20, int64_t height = 10) {
    return RegionOfInterest::of_boxes(std::move(boxes), width, height).has_value();
  };
  constexpr int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK(holds({{0, 0, 20, 10}}));
  CHECK(holds({{2, 1, 3, 2}, {8, 1, 3, 2}, {2, 3, 3, 2}}));
  CHECK_FALSE(holds({}));
  CHECK_FALSE(holds({{0, 0, 0, 1}}));
  CHECK_FALSE(holds({{-1, 0, 2, 2}}));
  CHECK_FALSE(holds({{0, 0, 21, 1}}));
  CHECK_FALSE(holds({{19, 0, 2, 1}}));
  CHECK_FALSE(holds({{huge, 0, huge, 1}}));
  CHECK_FALSE(holds({{0, huge, 1, huge}}));
  CHECK_FALSE(holds({{0, 9, 1, 2}}));
  CHECK_FALSE(holds({{2, 1, 3, 2}, {5, 1, 3, 2}}));  // touch: one box
  CHECK_FALSE(holds({{2, 1, 3, 2}, {2, 3, 3, 2}}));  // the same
  CHECK_FALSE(holds({{2, 1, 3, 2}, {8, 1, 3, 1}}));
  CHECK_FALSE(holds({{2, 1, 3, 2}, {8, 2, 3, 2}}));
  CHECK_FALSE(holds({{8, 1, 3, 2}, {2, 1, 3, 2}}));
  CHECK_FALSE(holds({{0, 5, 3, 2}, {0, 1, 3, 2}}));
  CHECK_FALSE(holds({{0, 0, 1, 1}}, 0, 10));
  CHECK_FALSE(holds({{0, 0, 1, 1}}, huge, huge));
}

TEST_CASE("region of interest: what does not count is in no region of a map") {
  Tensor map = Tensor::full({6, 8}, 1.0f);
  const RegionOfInterest roi = RegionOfInterest::parse("1,1,2,3+5,2,2,2");
  const Box inspected{1, 1, 6, 4};
  const std::vector<Region> found = find_regions(map, inspected, -5, 1, roi.inside(inspected));
  REQUIRE(found.size() == 2);
  CHECK(found[0].box == Box{1, 1, 2, 3});
  CHECK(found[1].box == Box{5, 2, 2, 2});
  CHECK(flags_of({.roi = roi}) == "--area whole --roi 1,1,2,1+1,2,2,2+5,2,2,2");
  CHECK(flags_of({.tiling = {40, 10}, .roi = RegionOfInterest::parse("1,1,2,3")}) ==
        "--tile 40 --overlap 10 --roi 1,1,2,3");
}
