// MANTA (Fan et al., CVPR 2025; MANTA-Tiny on figshare): tiny objects, seen from five sides.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/image/pixel_rows.h"

namespace dinomaly {

// The folders are those of MVTec AD, below one of a domain (ROOT/agriculture/maize/train/good/ID.png), masks named
// as their images or with _mask. A picture shows five views side by side: four of 256 columns, and the rest; its
// mask alike. Source: the authors' Dinomaly2, README.md and dataset.py, MANTATinyDataset. A view is anomalous if
// its part of the mask marks any pixel. `root` may also be one domain or one category. Throws as read_mvtec(), and
// InputError naming a picture that has no fifth view or a mask that cannot be read.
Dataset read_manta(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// Whether the file shows such views: it is wide enough for five, and more than four times as wide as high. False for what
// is no image.
bool shows_views(const std::filesystem::path& picture);
// Such a file, for a model that judges one view at a time: with the fault that it cannot.
Picture refused_views(const std::filesystem::path& path);
bool shows_views(const PixelLayout& layout);

// Whether the first training picture has the size of MANTA-Tiny's, 1280 x 256.
bool is_manta(const std::filesystem::path& root);

}  // namespace dinomaly
