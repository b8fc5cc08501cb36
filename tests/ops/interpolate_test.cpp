#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpFunction resize(int64_t height, int64_t width, const InterpolateArgs& args) {
  return [=](Inputs in) { return interpolate(in[0], height, width, args); };
}

constexpr auto nearest = InterpolateMode::nearest, bilinear = InterpolateMode::bilinear,
               bicubic = InterpolateMode::bicubic;
const Shapes image{{2, 3, 5}};
const OpOptions options{.also = {{{1, 1}}, {{2, 1, 9, 4}}, {{1, 17, 3}}, {{0, 3, 3}}},
                        .wrong = {{{{5}}, "interpolate: x of (5) is not (..., H, W)"},
                                  {{{2, 0, 3}}, "interpolate: x of (2, 0, 3) is not (..., H, W)"}}};

OpCase nearest_up{"interpolate.nearest", image, resize(7, 9, {.mode = nearest}), options};
OpCase nearest_down{"interpolate.nearest_down", image, resize(2, 3, {.mode = nearest})};
OpCase bilinear_up{"interpolate.bilinear", image, resize(7, 4, {.mode = bilinear}), options};
OpCase bilinear_corners{"interpolate.bilinear_corners", image,
                        resize(7, 4, {.mode = bilinear, .align_corners = true}), options};
OpCase bilinear_to_one{"interpolate.bilinear_to_one", image,
                       resize(1, 6, {.mode = bilinear, .align_corners = true})};
OpCase bicubic_up{"interpolate.bicubic", image, resize(7, 4, {.mode = bicubic}), options};
OpCase bicubic_corners{"interpolate.bicubic_corners", image,
                       resize(4, 8, {.mode = bicubic, .align_corners = true}), options};
// An explicit scale that is not exactly m / n, as position tables are resized: (n + 0.1) / m
// in torch's terms.
OpCase bicubic_scaled{"interpolate.bicubic_scaled",
                      {{2, 4, 4}},
                      resize(6, 3, {.mode = bicubic, .scale_y = 4 / 6.1, .scale_x = 4 / 3.1})};
OpCase bilinear_scaled{"interpolate.bilinear_scaled",
                       {{2, 4, 4}},
                       resize(6, 3, {.mode = bilinear, .scale_y = 4 / 6.1, .scale_x = 4 / 3.1})};

}  // namespace

TEST_CASE("interpolate refuses empty targets and aligned corners without corners") {
  const Variable x(Tensor::ones({3, 3}));
  CHECK_THROWS_WITH_AS(interpolate(x, 0, 4, {}), "interpolate: cannot resize (3, 3) to (0, 4)", Error);
  CHECK_THROWS_WITH_AS(interpolate(x, 4, 4, {.mode = nearest, .align_corners = true}),
                       "interpolate: align_corners has no meaning for nearest", Error);
}

}  // namespace nabla
