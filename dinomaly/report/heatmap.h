// Anomaly maps as images.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/tensor.h"

namespace dinomaly {

// Black - violet - orange - pale yellow for 0 to 1 (clamped; NaN is black): even steps look even, and it
// stays ordered in grey. The colours follow matplotlib's "inferno".
std::array<uint8_t, 3> heat_colour(double value);

// Three panels of the image's size side by side, thin white lines between them: the image, its mask
// (white on black), and the map's colours over the faded image. `rgb` is the image as the model saw it
// (resize_and_crop); `mask` (h, w) u8, above 0 = anomalous, undefined = nothing is; `map` (h, w) f32,
// stretched bilinearly. `low` and `high` are the values of the first and last colour, the same for all
// images of a run; low < high.
Image draw_heatmap(const Image& rgb, const Tensor& mask, const Tensor& map, double low, double high);

// Writes draw_heatmap() as a PNG, whole or not at all. Throws InputError naming the file if it
// cannot be written.
void save_heatmap(const std::filesystem::path& path, const Image& rgb, const Tensor& mask, const Tensor& map,
                  double low, double high);

}  // namespace dinomaly
